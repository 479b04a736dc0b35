//! Tests of the binaries as processes.
