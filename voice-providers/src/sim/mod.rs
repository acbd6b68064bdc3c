//! Fakes of the services, as pure as the translators they test.
