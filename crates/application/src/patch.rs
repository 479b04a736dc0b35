//! Partial updates.

/// The change of an optional field: keep it, clear it, or set it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// It was omitted.
    #[default]
    Keep,
    /// It was `null`.
    Clear,
    /// It has a new value.
    Set(T),
}

impl<T: Clone> Patch<T> {
    pub(crate) fn apply(&self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value.clone()),
        }
    }
}
