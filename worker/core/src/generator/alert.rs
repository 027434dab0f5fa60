//! One alert as a line of JSON of about 195 bytes.

use super::random::below;

/// Names of services; a number is added.
const NAMES: [&str; 32] = [
    "checkout",
    "payments",
    "catalog",
    "search",
    "inventory",
    "shipping",
    "billing",
    "identity",
    "sessions",
    "gateway",
    "pricing",
    "orders",
    "invoices",
    "mailer",
    "reports",
    "ledger",
    "profiles",
    "uploads",
    "streaming",
    "telemetry",
    "routing",
    "quotas",
    "scheduler",
    "registry",
    "backups",
    "archive",
    "webhooks",
    "exports",
    "accounts",
    "storage",
    "metadata",
    "frontend",
];

const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-1", "us-east-1", "ap-south-1"];

const CRITICAL: [&str; 4] = [
    "connection pool exhausted on primary",
    "no healthy replica left for writes",
    "request queue full, load is shed",
    "disk latency above 500 ms for 60 s",
];
const LESSER: [&str; 8] = [
    "latency above objective for 5 min",
    "retries to upstream above 5 percent",
    "garbage collection took over 800 ms",
    "replica lags behind by 20 seconds",
    "certificate expires within 14 days",
    "cache hit ratio fell below 80 percent",
    "deployment finished, warming up",
    "slow query took more than 2 seconds",
];

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Critical,
    Major,
    Minor,
    Warning,
    Info,
}

impl Severity {
    /// One of the severities below CRITICAL.
    pub(super) fn lesser(bits: u64) -> Self {
        match below(bits, 10) {
            0..2 => Self::Major,
            2..5 => Self::Minor,
            5..8 => Self::Warning,
            _ => Self::Info,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::Major => "MAJOR",
            Self::Minor => "MINOR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

/// Writes alerts. Keeps what is costly to work out.
#[derive(Clone, Debug)]
pub(super) struct AlertWriter {
    /// Quantiles of an exponential distribution with mean 1, as 256ths.
    exponential: [u32; 1024],
}

impl AlertWriter {
    pub(super) fn new() -> Self {
        let mut exponential = [0; 1024];
        for (i, value) in (0u32..).zip(&mut exponential) {
            *value = (-libm::log(1.0 - (f64::from(i) + 0.5) / 1024.0) * 256.0) as u32;
        }
        Self { exponential }
    }

    /// Appends an alert without a line end. `millis` is its event time since 1970.
    #[allow(clippy::too_many_arguments)] // The fields of a line; a struct would only repeat their names.
    #[inline]
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        millis: i64,
        service: u32,
        severity: Severity,
        in_trouble: bool,
        place: u64,
        value: u64,
    ) {
        // The low bits of `place` are free: the service was chosen by the high ones.
        let host = place & 7;
        let region = REGIONS[(u64::from(service) + host) as usize % 4];
        let messages: &[&str] = if severity == Severity::Critical {
            &CRITICAL
        } else {
            &LESSER
        };
        let message = messages[(value >> 61) as usize % messages.len()];

        out.extend_from_slice(b"{\"ts\":");
        push_number(out, millis);
        out.extend_from_slice(b",\"service\":\"");
        push_name(out, service);
        out.extend_from_slice(b"\",\"severity\":\"");
        out.extend_from_slice(severity.text().as_bytes());
        out.extend_from_slice(b"\",\"host\":\"");
        push_name(out, service);
        out.extend_from_slice(&[b'-', b'h', b'1' + host as u8]);
        out.extend_from_slice(b"\",\"region\":\"");
        out.extend_from_slice(region.as_bytes());
        out.extend_from_slice(b"\",\"latency_ms\":");
        push_scaled(out, self.latency(service, severity, in_trouble, value), 1);
        out.extend_from_slice(b",\"error_rate\":0.");
        push_padded(out, self.error_rate(in_trouble, value), 4);
        out.extend_from_slice(b",\"message\":\"");
        out.extend_from_slice(message.as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// Tenths of a millisecond: exponential around a base of 20 to 120 ms per service; six times that in trouble.
    fn latency(&self, service: u32, severity: Severity, in_trouble: bool, value: u64) -> u32 {
        let base = 200 + service.wrapping_mul(0x9e37_79b9) % 1_000;
        let spread = self.exponential[(value & 1023) as usize];
        let calm = base / 2 + base * spread / 512;
        match (in_trouble, severity) {
            (true, _) => calm * 6,
            (false, Severity::Critical) => calm * 2,
            (false, _) => calm,
        }
    }

    /// Ten-thousandths: around 0.5 % as a rule, 10 % to 40 % in trouble.
    fn error_rate(&self, in_trouble: bool, value: u64) -> u32 {
        let spread = self.exponential[((value >> 10) & 1023) as usize];
        if in_trouble {
            1_000 + below(value << 20, 3_000)
        } else {
            (50 * spread / 256).min(9_999)
        }
    }
}

/// Appends the name of a service: `checkout-01`.
fn push_name(out: &mut Vec<u8>, service: u32) {
    let (name, number) = (NAMES[service as usize % NAMES.len()], service / NAMES.len() as u32 + 1);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(if number < 10 { b"-0" } else { b"-" });
    push_number(out, i64::from(number));
}

/// Appends a decimal number.
fn push_number(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `number` divided by ten to the power of `decimals`, with all decimals.
fn push_scaled(out: &mut Vec<u8>, number: u32, decimals: u32) {
    let scale = 10u32.pow(decimals);
    push_number(out, i64::from(number / scale));
    out.push(b'.');
    push_padded(out, number % scale, decimals as usize);
}

/// Appends a number of at most 10 digits with zeros in front.
fn push_padded(out: &mut Vec<u8>, number: u32, width: usize) {
    let mut digits = [b'0'; 10];
    let mut rest = number;
    for digit in digits.iter_mut().rev().take(width) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[digits.len() - width..]);
}
