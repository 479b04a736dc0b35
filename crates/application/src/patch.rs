//! Partial updates of optional fields.

/// The update of an optional field: keep the value, clear it, or set a new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field was omitted: the value stays unchanged.
    #[default]
    Keep,
    /// The field was `null`: the value is removed.
    Clear,
    /// The field has a new value.
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
