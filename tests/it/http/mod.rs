//! Tests through the HTTP door.

mod decisions;
