//! The list of all settings: name in the environment, place in the file, default, and what it is for.

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name in the environment; also its name in messages.
    pub env: &'static str,
    /// Table in `voice.toml`.
    pub table: &'static str,
    /// Key in that table.
    pub key: &'static str,
    /// Used where nobody says otherwise.
    pub default: Option<&'static str>,
    /// Masked in print, and readable from a file named by `<env>_FILE` or `<key>_file`.
    pub secret: bool,
}

impl Setting {
    const fn new(
        env: &'static str,
        table: &'static str,
        key: &'static str,
        default: Option<&'static str>,
    ) -> Self {
        Self { env, table, key, default, secret: false }
    }

    const fn secret(env: &'static str, table: &'static str, key: &'static str) -> Self {
        Self { env, table, key, default: None, secret: true }
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $setting:expr;)*) => {
        $($(#[$doc])* pub(crate) static $name: Setting = $setting;)*

        /// All of them, in the order in which they are shown.
        pub(crate) static ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    HOST = Setting::new("HOST", "server", "host", Some("127.0.0.1"));
    PORT = Setting::new("PORT", "server", "port", Some("8080"));
    PUBLIC_URL = Setting::new("PUBLIC_URL", "server", "public_url", None);
    API_TOKEN = Setting::secret("API_TOKEN", "server", "api_token");
    MAX_CALLS = Setting::new("MAX_CALLS", "server", "max_calls", Some("500"));
    DRAIN_SECONDS = Setting::new("DRAIN_SECONDS", "server", "drain_seconds", Some("30"));
    DRAIN_MODE = Setting::new("DRAIN_MODE", "server", "drain_mode", Some("wait"));
    TRUSTED_PROXIES = Setting::new("TRUSTED_PROXIES", "door", "trusted_proxies", None);
    FORWARDED_HEADER =
        Setting::new("FORWARDED_HEADER", "door", "forwarded_header", Some("x-forwarded-for"));
    WEBHOOK_PER_MINUTE = Setting::new("WEBHOOK_PER_MINUTE", "door", "webhook_per_minute", Some("100"));
    WEBHOOK_BURST = Setting::new("WEBHOOK_BURST", "door", "webhook_burst", Some("20"));
    CARRIER_PER_MINUTE = Setting::new("CARRIER_PER_MINUTE", "door", "carrier_per_minute", Some("1000"));
    MEDIA_PER_MINUTE = Setting::new("MEDIA_PER_MINUTE", "door", "media_per_minute", Some("300"));
    MEDIA_BURST = Setting::new("MEDIA_BURST", "door", "media_burst", Some("100"));
    OUTBOUND_PER_MINUTE = Setting::new("OUTBOUND_PER_MINUTE", "door", "outbound_per_minute", Some("20"));
    ENABLE_WEBHOOK_IP_WHITELIST =
        Setting::new("ENABLE_WEBHOOK_IP_WHITELIST", "door", "ip_whitelist", Some("false"));
    TWILIO_WEBHOOK_IPS = Setting::new("TWILIO_WEBHOOK_IPS", "door", "twilio_ips", None);
    TELNYX_WEBHOOK_IPS = Setting::new("TELNYX_WEBHOOK_IPS", "door", "telnyx_ips", None);
    MAX_CONNECTIONS = Setting::new("MAX_CONNECTIONS", "door", "max_connections", Some("2048"));
    MAX_CONNECTIONS_PER_ADDRESS =
        Setting::new("MAX_CONNECTIONS_PER_ADDRESS", "door", "max_connections_per_address", Some("512"));
    NODE_NAME = Setting::new("NODE_NAME", "storage", "node_name", None);
    DATABASE_URL = Setting::new("DATABASE_URL", "storage", "database_url", Some("sqlite:voice.db"));
    REDIS_URL = Setting::new("REDIS_URL", "storage", "redis_url", None);
    RECORDING_DIR = Setting::new("RECORDING_DIR", "recording", "dir", None);
    RECORDING_AT = Setting::new("RECORDING_AT", "recording", "at", Some("server"));
    RECORDING_CONSENT = Setting::new("RECORDING_CONSENT", "recording", "consent", Some("off"));
    RECORDING_BASIS = Setting::new("RECORDING_BASIS", "recording", "basis", None);
    RECORDING_BUCKET = Setting::new("RECORDING_BUCKET", "recording", "bucket", None);
    RECORDING_BUCKET_URL = Setting::new("RECORDING_BUCKET_URL", "recording", "bucket_url", None);
    RECORDING_BUCKET_REGION =
        Setting::new("RECORDING_BUCKET_REGION", "recording", "bucket_region", Some("us-east-1"));
    RECORDING_BUCKET_PREFIX = Setting::new("RECORDING_BUCKET_PREFIX", "recording", "bucket_prefix", None);
    AWS_ACCESS_KEY_ID = Setting::new("AWS_ACCESS_KEY_ID", "recording", "access_key_id", None);
    AWS_SECRET_ACCESS_KEY = Setting::secret("AWS_SECRET_ACCESS_KEY", "recording", "secret_access_key");
    ENVIRONMENT = Setting::new("ENVIRONMENT", "log", "environment", Some("production"));
    LOG_FORMAT = Setting::new("LOG_FORMAT", "log", "format", Some("text"));
    LOG_LEVEL = Setting::new("LOG_LEVEL", "log", "level", Some("info"));
    SENTRY_DSN = Setting::secret("SENTRY_DSN", "log", "sentry_dsn");
    ENABLE_METRICS = Setting::new("ENABLE_METRICS", "metrics", "enabled", Some("true"));
    OTEL_EXPORTER_OTLP_ENDPOINT = Setting::new("OTEL_EXPORTER_OTLP_ENDPOINT", "traces", "otlp_endpoint", None);
    OTEL_TRACES_SAMPLER =
        Setting::new("OTEL_TRACES_SAMPLER", "traces", "sampler", Some("parentbased_always_on"));
    OTEL_TRACES_SAMPLER_ARG = Setting::new("OTEL_TRACES_SAMPLER_ARG", "traces", "sampler_arg", None);
    VOICE_STANDBY = Setting::new("VOICE_STANDBY", "calls", "standby", Some("off"));
    COVER_PROMPTS = Setting::new("COVER_PROMPTS", "calls", "cover_prompts", Some("on"));
    GAP_SECONDS = Setting::new("GAP_SECONDS", "calls", "gap_seconds", Some("30"));
    CALL_SECONDS_MAX = Setting::new("CALL_SECONDS_MAX", "calls", "seconds_max", Some("7200"));
    RESAMPLER_PHASE = Setting::new("RESAMPLER_PHASE", "calls", "resampler_phase", Some("linear"));
    CALL_BUDGET_USD = Setting::new("CALL_BUDGET_USD", "calls", "budget_usd", None);
    CALL_BUDGET_WARN_PERCENT = Setting::new("CALL_BUDGET_WARN_PERCENT", "calls", "budget_warn_percent", Some("80"));
    CALL_BUDGET_ACTION = Setting::new("CALL_BUDGET_ACTION", "calls", "budget_action", Some("warn"));
    TRANSFER_TARGETS = Setting::new("TRANSFER_TARGETS", "calls", "transfer_targets", None);
    VOICE_TOOLS = Setting::new("VOICE_TOOLS", "calls", "tools", Some("off"));
    TRANSFER_RECORDED = Setting::new("TRANSFER_RECORDED", "calls", "transfer_recorded", Some("put_through"));
    WHEN_NOBODY = Setting::new("WHEN_NOBODY", "calls", "when_nobody", Some("hang_up"));
    VOICE_PROVIDERS = Setting::new("VOICE_PROVIDERS", "providers", "order", None);
    PROVIDER_PRICES = Setting::new("PROVIDER_PRICES", "providers", "prices", None);
    VOICE_STRATEGY = Setting::new("VOICE_STRATEGY", "providers", "strategy", Some("priority"));
    VOICE_STICKY = Setting::new("VOICE_STICKY", "providers", "sticky", Some("no"));
    VOICE_PROBE_SECONDS = Setting::new("VOICE_PROBE_SECONDS", "providers", "probe_seconds", Some("30"));
    OPENAI_API_KEY = Setting::secret("OPENAI_API_KEY", "openai", "api_key");
    OPENAI_REALTIME_URL =
        Setting::new("OPENAI_REALTIME_URL", "openai", "realtime_url", Some("wss://api.openai.com/v1/realtime"));
    OPENAI_MODEL = Setting::new("OPENAI_MODEL", "openai", "model", Some("gpt-realtime-2.1"));
    OPENAI_VOICE = Setting::new("OPENAI_VOICE", "openai", "voice", Some("marin"));
    GEMINI_API_KEY = Setting::secret("GEMINI_API_KEY", "gemini", "api_key");
    GEMINI_LIVE_URL = Setting::new(
        "GEMINI_LIVE_URL",
        "gemini",
        "live_url",
        Some("wss://generativelanguage.googleapis.com"),
    );
    GEMINI_MODEL = Setting::new("GEMINI_MODEL", "gemini", "model", Some("gemini-3.8-live"));
    GEMINI_VOICE = Setting::new("GEMINI_VOICE", "gemini", "voice", Some("Kore"));
    DEEPGRAM_API_KEY = Setting::secret("DEEPGRAM_API_KEY", "deepgram", "api_key");
    DEEPGRAM_URL = Setting::new("DEEPGRAM_URL", "deepgram", "url", None);
    DEEPGRAM_LISTEN_MODEL = Setting::new("DEEPGRAM_LISTEN_MODEL", "deepgram", "listen_model", Some("auto"));
    DEEPGRAM_THINK_MODEL =
        Setting::new("DEEPGRAM_THINK_MODEL", "deepgram", "think_model", Some("gpt-4.1-mini"));
    DEEPGRAM_VOICE = Setting::new("DEEPGRAM_VOICE", "deepgram", "voice", Some("aura-2-thalia-en"));
    LLM_API_KEY = Setting::secret("LLM_API_KEY", "llm", "api_key");
    LLM_URL = Setting::new("LLM_URL", "llm", "url", Some("https://api.openai.com/v1"));
    LLM_MODEL = Setting::new("LLM_MODEL", "llm", "model", Some("gpt-4.1-mini"));
    LLM_FALLBACK_API_KEY = Setting::secret("LLM_FALLBACK_API_KEY", "llm", "fallback_api_key");
    LLM_FALLBACK_URL = Setting::new("LLM_FALLBACK_URL", "llm", "fallback_url", None);
    LLM_FALLBACK_MODEL = Setting::new("LLM_FALLBACK_MODEL", "llm", "fallback_model", None);
    TWILIO_ACCOUNT_SID = Setting::new("TWILIO_ACCOUNT_SID", "twilio", "account_sid", None);
    TWILIO_AUTH_TOKEN = Setting::secret("TWILIO_AUTH_TOKEN", "twilio", "auth_token");
    TWILIO_FROM_NUMBER = Setting::new("TWILIO_FROM_NUMBER", "twilio", "from_number", None);
    TWILIO_API_URL = Setting::new("TWILIO_API_URL", "twilio", "api_url", Some("https://api.twilio.com"));
    TELNYX_API_KEY = Setting::secret("TELNYX_API_KEY", "telnyx", "api_key");
    TELNYX_PUBLIC_KEY = Setting::new("TELNYX_PUBLIC_KEY", "telnyx", "public_key", None);
    TELNYX_CONNECTION_ID = Setting::new("TELNYX_CONNECTION_ID", "telnyx", "connection_id", None);
    TELNYX_FROM_NUMBER = Setting::new("TELNYX_FROM_NUMBER", "telnyx", "from_number", None);
    TELNYX_API_URL =
        Setting::new("TELNYX_API_URL", "telnyx", "api_url", Some(voice_telephony::telnyx::API_URL));
    AGENT_INSTRUCTIONS = Setting::new(
        "AGENT_INSTRUCTIONS",
        "agent",
        "instructions",
        Some("You are a friendly assistant on the telephone. Answer in one or two short sentences."),
    );
    AGENT_GREETING =
        Setting::new("AGENT_GREETING", "agent", "greeting", Some("Greet the caller and ask how you can help."));
    AGENT_LANGUAGE = Setting::new("AGENT_LANGUAGE", "agent", "language", None);
}
