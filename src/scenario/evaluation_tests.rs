//! Owns the claims about what comes of expectations.
