//! One macro for the lists of ways in which a fake peer can misbehave: names, descriptions, parsing.

use std::fmt;

/// A name that no rudeness of a fake has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRudeness {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownRudeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such rudeness {:?}; there are: {}", self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownRudeness {}

/// Makes the list of ways in which a fake can misbehave.
///
/// Each has a name for command lines, and its documentation is what a command line prints about it. What
/// comes of it has `ALL`, `NAMES` and `HELP` (three tables in the same order), `name()`, `Display` and
/// `FromStr`, whose error is [`UnknownRudeness`].
///
/// ```
/// voice_core::sim::rudeness! {
///     /// What this fake can do wrong.
///     pub enum Rudeness {
///         /// Cuts the connection in the middle of a word.
///         Cut = "cut",
///         /// Never answers.
///         Mute = "mute",
///     }
/// }
///
/// assert_eq!("mute".parse(), Ok(Rudeness::Mute));
/// assert_eq!(Rudeness::Mute.to_string(), "mute");
/// assert_eq!(Rudeness::NAMES, ["cut", "mute"]);
/// assert_eq!(Rudeness::HELP[1], ("mute", "Never answers."));
/// assert!("polite".parse::<Rudeness>().unwrap_err().to_string().contains("cut, mute"));
/// ```
///
/// An enum whose variants carry something is written by hand, and the macro is given its rows:
///
/// ```
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Rudeness {
///     Close(u16),
/// }
///
/// voice_core::sim::rudeness! {
///     impl Rudeness {
///         /// Closes because of the policy.
///         Self::Close(1008) = "close-1008",
///         /// Closes because it is broken.
///         Self::Close(1011) = "close-1011",
///     }
/// }
///
/// assert_eq!("close-1011".parse(), Ok(Rudeness::Close(1011)));
/// ```
#[macro_export]
macro_rules! rudeness {
    (
        $(#[$about:meta])*
        $visible:vis enum $of:ident {
            $($(#[doc = $help:literal])+ $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visible enum $of {
            $($(#[doc = $help])+ $variant,)+
        }

        $crate::sim::rudeness! {
            impl $of {
                $($(#[doc = $help])+ Self::$variant = $name,)+
            }
        }
    };

    (
        impl $of:ident {
            $($(#[doc = $help:literal])+ Self::$variant:ident $(($($value:literal),+))? = $name:literal,)+
        }
    ) => {
        impl $of {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant $(($($value),+))?),+];

            /// Their names, in the order of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// Their names and what each means, in the order of [`Self::ALL`].
            pub const HELP: &'static [(&'static str, &'static str)] =
                &[$(($name, concat!($($help),+).trim_ascii())),+];

            /// The name on a command line.
            pub fn name(self) -> &'static str {
                let row = Self::ALL.iter().position(|listed| *listed == self);
                row.map_or("unlisted", |row| Self::NAMES[row])
            }
        }

        impl std::fmt::Display for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $of {
            type Err = $crate::sim::rudeness::UnknownRudeness;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let row = Self::NAMES.iter().position(|known| *known == name);
                row.map(|row| Self::ALL[row]).ok_or_else(|| $crate::sim::rudeness::UnknownRudeness {
                    name: name.to_owned(),
                    known: Self::NAMES,
                })
            }
        }
    };
}

/// In its place beside the other tools of tests, and not only at the root of the crate.
pub use rudeness;
