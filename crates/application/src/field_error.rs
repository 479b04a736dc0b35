//! Validation errors. Each error describes the problem with one field of the request.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// The machine-readable code of a validation error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FieldCode {
            $($(#[doc = $doc])+ $name),+
        }

        impl FieldCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code as it is sent to clients.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

codes! {
    /// The field cannot be combined with another field of the request.
    Alone = "alone";
    /// The level is assigned to this user, so it cannot be deleted.
    Assigned = "assigned";
    /// The string contains a disallowed character.
    Character = "character";
    /// The cursor was not issued for this request.
    Cursor = "cursor";
    /// The string contains a character that overrides the text direction.
    Direction = "direction";
    /// The request specifies different values for the field.
    Disagree = "disagree";
    /// The list element, object member or parameter occurs more than once.
    Duplicate = "duplicate";
    /// The value is invalid.
    Invalid = "invalid";
    /// The string contains a disallowed invisible character.
    Invisible = "invisible";
    /// The list has too few or too many elements.
    Length = "length";
    /// The key or URL has the form of a UUID.
    LooksLikeId = "looks_like_id";
    /// The body is not valid JSON.
    Malformed = "malformed";
    /// This entry states the number of omitted errors.
    More = "more";
    /// The change would grant a permission that the caller does not hold.
    NotHeld = "not_held";
    /// The string contains a NUL character.
    Nul = "nul";
    /// The change would modify or add a pinned permission.
    Pinned = "pinned";
    /// The change would revoke a permission of another user that the caller may not revoke.
    Protected = "protected";
    /// The change would increase a quantity beyond its quota.
    QuotaExceeded = "quota_exceeded";
    /// The number or time is out of range.
    Range = "range";
    /// The field is missing or empty.
    Required = "required";
    /// The string is not an RFC 3339 time.
    Time = "time";
    /// The string is too long.
    TooLong = "too_long";
    /// The value has the wrong JSON type.
    Type = "type";
    /// The value is not one of the valid values, or the entity does not exist.
    Unknown = "unknown";
    /// The object has no field of this name, or the operation has no parameter of this name.
    UnknownField = "unknown_field";
    /// The string does not identify a user.
    User = "user";
    /// The string is not a UUID.
    Uuid = "uuid";
    /// The minimum version that the request requires is malformed.
    Version = "version";
}

/// A validation error, which describes the problem with one field of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field, such as `name` or `views[2].viewId`.
    pub field: String,
    /// The human-readable message.
    pub message: String,
    /// The machine-readable code.
    pub code: FieldCode,
}

/// Maximum number of field errors in a response. This limit prevents small requests from causing large responses.
pub const FIELD_ERRORS_LIMIT: usize = 100;

impl FieldError {
    /// Returns the first [`FIELD_ERRORS_LIMIT`] field errors. If there are more, a last entry states the number of
    /// omitted errors.
    #[must_use]
    pub fn bounded(findings: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut findings = findings.into_iter();
        let mut listed: Vec<_> = findings.by_ref().take(FIELD_ERRORS_LIMIT).collect();
        let more = findings.count();
        if more > 0 {
            listed.push(Self::more(more));
        }
        listed
    }

    /// Returns the entry that states the number of omitted field errors.
    #[must_use]
    pub fn more(count: usize) -> Self {
        Self { field: "body".to_owned(), message: format!("{count} more errors are not listed"), code: FieldCode::More }
    }

    /// Creates the error for a field. The message consists of the field name, followed by `rest`.
    pub fn new(field: impl Into<String>, code: FieldCode, rest: impl std::fmt::Display) -> Self {
        let field = field.into();
        let message = format!("{field} {rest}");
        Self { field, message, code }
    }
}
