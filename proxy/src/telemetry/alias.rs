//! Envoy's response flags for our outcomes, so that runbooks and dashboards written for Envoy still find what
//! they look for. An alias loses detail; `outcome` is the word that counts.

/// The flag, or nothing where Envoy has none.
pub(super) fn envoy(outcome: &str) -> &'static str {
    match outcome {
        "dns_error" | "dns_timeout" => "DF",
        "destination_unavailable" | "no_endpoint" => "UH",
        "connection_refused" | "connection_timeout" => "UF",
        "tls_certificate_error" | "tls_protocol_error" | "tls_alert_received" => "UF",
        "connection_terminated" | "connection_read_timeout" | "connection_write_timeout" => "UC",
        "http_response_timeout" | "upstream_timeout" => "UT",
        "deadline_exceeded" => "DT",
        "http_protocol_error" | "http_response_incomplete" | "grpc_missing_trailers" => "UPE",
        "rate_limited" => "RL",
        "concurrency_limited" | "isolation_full" | "queue_timeout" | "circuit_open" => "UO",
        "load_shed" => "OM",
        "retry_budget_exhausted" => "URX",
        "fallback_served" | "stale_served" => "RFCF",
        "fault_injected" => "FI",
        "client_cancelled" => "DC",
        "route_not_found" => "NR",
        _ => "",
    }
}
