//! The values of permissions: the states of view permissions, and the scopes of allowed actions.

/// The error for a string that is not a valid value of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {words}")]
pub struct UnknownVariant {
    /// The valid values, separated by commas.
    pub words: &'static str,
}

macro_rules! words {
    // The literals are matched as `tt`: derive macros cannot read a literal that was matched as `literal`.
    ($(#[doc = $doc:tt])+ $name:ident ($words:tt):
        $($(#[doc = $vdoc:tt])+ $variant:ident = $word:tt),+ $(,)?) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[doc = $vdoc])+ #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Returns the string that represents the value in JSON and in the database.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownVariant;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownVariant> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err($crate::UnknownVariant { words: $words }) }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A level's rule for a view.
    ViewState ("allow, deny, inherit"):
        /// The level allows the view. A deny of another level overrides this.
        Allow = "allow",
        /// The level denies the view. A deny overrides every allow.
        Deny = "deny",
        /// The level neither allows nor denies the view: the user's other levels decide.
        Inherit = "inherit",
}

words! {
    /// The scope of an allowed action: the resources that the action may be applied to. Scopes are ordered from narrow
    /// to wide: `own < team < company < any`.
    Scope ("own, team, company, any"):
        /// Resources that the user owns.
        Own = "own",
        /// Resources that the user's team owns.
        Team = "team",
        /// All resources of the company.
        Company = "company",
        /// All resources, without further restriction. Even this scope never extends beyond the company.
        Any = "any",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_ordered_from_narrow_to_wide() {
        assert!(Scope::Own < Scope::Team && Scope::Team < Scope::Company && Scope::Company < Scope::Any);
    }

    #[test]
    fn words_are_exact() {
        assert_eq!("deny".parse(), Ok(ViewState::Deny));
        assert!("Deny".parse::<ViewState>().is_err());
        assert_eq!(serde_json::to_string(&Scope::Team).unwrap(), "\"team\"");
    }
}
