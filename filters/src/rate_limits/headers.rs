//! What a caller is told about limits: `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and
//! `Retry-After` (RFC 9110, 10.2.3). Names of limits are restricted to characters that need no escaping.

use std::time::Duration;

use crate::filter::Quota;

/// `"name";q=200;w=2`: how many, in how many seconds.
#[must_use]
pub fn rate_limit_policy(name: &str, quota: &Quota) -> String {
    format!("\"{name}\";q={};w={}", quota.limit, quota.window)
}

/// `"name";r=0;t=3`: how many are left, in how many seconds there is more.
#[must_use]
pub fn rate_limit(name: &str, quota: &Quota) -> String {
    format!("\"{name}\";r={};t={}", quota.remaining, quota.reset)
}

/// Whole seconds, at least 1, up to a fifth longer by `jitter` (any number; random ones keep callers from coming
/// back all at once). Never sooner than `wait`.
#[must_use]
pub fn retry_after_seconds(wait: Duration, jitter: u32) -> u64 {
    let nanos = wait.as_nanos().max(1);
    let extra = nanos.saturating_mul(u128::from(jitter)) / (5 << 32);
    u64::try_from(nanos.saturating_add(extra).div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::RuleId;

    #[test]
    fn writes_structured_fields() {
        let quota = Quota { rule: RuleId(0), limit: 200, window: 2, remaining: 0, reset: 3 };
        assert_eq!(rate_limit_policy("per-tenant", &quota), "\"per-tenant\";q=200;w=2");
        assert_eq!(rate_limit("per-tenant", &quota), "\"per-tenant\";r=0;t=3");
    }

    #[test]
    fn retry_after_is_whole_and_never_too_soon() {
        assert_eq!(retry_after_seconds(Duration::ZERO, u32::MAX), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(10), 0), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(2_001), 0), 3);
        assert_eq!(retry_after_seconds(Duration::from_secs(10), 0), 10);
        assert_eq!(retry_after_seconds(Duration::from_secs(10), u32::MAX / 2), 11);
        assert_eq!(retry_after_seconds(Duration::from_secs(10), u32::MAX), 12);
        assert_eq!(retry_after_seconds(Duration::MAX, u32::MAX), u64::MAX);
    }
}
