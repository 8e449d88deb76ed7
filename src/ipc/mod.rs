//! Cross-process primitives.
