//! The way of a policy: source → document → plan → snapshot → swap. Start-up is a reload from nothing.
