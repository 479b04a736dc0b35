//! Partial updates of optional fields, as in a JSON merge patch (RFC 7396).

/// The update of an optional field: leave the value unchanged, remove the value, or set a new value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field was omitted: the value remains unchanged.
    #[default]
    Keep,
    /// The field was `null`: the value is removed.
    Clear,
    /// The field has a new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Returns the new value, if there is one.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
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
