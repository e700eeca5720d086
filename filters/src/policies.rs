//! The one list of policies.
/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePolicies {}
/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamPolicies {}
