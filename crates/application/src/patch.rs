//! The change of one optional field.

/// A change of one member: keep it, clear it, or set it.
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
    pub(crate) fn apply(&self, member: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *member = None,
            Self::Set(value) => *member = Some(value.clone()),
        }
    }
}
