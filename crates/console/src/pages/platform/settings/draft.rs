//! The draft of the ceilings of a company: the fields of the form, and their differences to the stored ceilings.

use std::collections::BTreeMap;

use iam_application::{ActionCeiling, RequestedCeilings};
use iam_domain::escalation::Cell;
use iam_domain::{Action, Catalog, Ceilings, FeatureId, Scope, ViewId, is_reserved};
use maud::{Markup, html};

use crate::error::PageError;
use crate::form::Fields;

/// The name of the field of a hidden view.
pub(super) const HIDE: &str = "hide";

/// The value of a control for an action that no user may perform.
const FORBIDDEN: &str = "forbidden";

/// Returns the name of the field of an action.
pub(super) fn field_of(feature: FeatureId, action: &Action) -> String {
    format!("max.{feature}.{action}")
}

/// Returns the values of the control of an action, with their labels.
pub(super) const CHOICES: [(&str, &str); 5] = [
    ("", "No ceiling"),
    ("company", "At most company"),
    ("team", "At most team"),
    ("own", "At most own"),
    (FORBIDDEN, "Not permitted"),
];

/// Returns the value of the control of an action with this widest scope.
pub(super) const fn value_of(max: Option<Scope>) -> &'static str {
    match max {
        None => FORBIDDEN,
        Some(Scope::Any) => "",
        Some(Scope::Own) => "own",
        Some(Scope::Team) => "team",
        Some(Scope::Company) => "company",
    }
}

/// Returns the widest scope of an action as text.
pub(super) fn label_of(max: Option<Scope>) -> &'static str {
    let value = value_of(max);
    CHOICES.iter().find(|(known, _)| *known == value).map_or("", |(_, label)| label)
}

fn scope_of(value: &str) -> Option<Option<Scope>> {
    match value {
        "" => Some(Some(Scope::Any)),
        FORBIDDEN => Some(None),
        word => word.parse().ok().map(Some),
    }
}

/// Parses the fields of the form. Ceilings with the scope `any` have no effect, and are not part of the result.
///
/// # Errors
///
/// Returns [`PageError::Invalid`] if a field is not one of the form.
pub(super) fn parse(fields: &Fields) -> Result<Ceilings, PageError> {
    let invalid = || PageError::Invalid("The form contains an unknown ceiling".to_owned());
    let mut draft = Ceilings::default();
    for (name, value) in fields {
        if name == HIDE {
            draft.hidden_views.insert(ViewId::parse(value).map_err(|_| invalid())?);
        } else if let Some(of_action) = name.strip_prefix("max.") {
            let (feature, action) = of_action.split_once('.').ok_or_else(invalid)?;
            let feature = FeatureId::parse(feature).map_err(|_| invalid())?;
            let action = Action::stored(action).map_err(|_| invalid())?;
            let max = scope_of(value).ok_or_else(invalid)?;
            if max != Some(Scope::Any) {
                draft.actions.entry(feature).or_default().insert(action, max);
            }
        }
    }
    Ok(draft)
}

/// Returns the draft as the ceilings that a change requests.
pub(super) fn requested(draft: &Ceilings) -> RequestedCeilings {
    let actions = draft.actions.iter().flat_map(|(feature, actions)| {
        let ceiling = |(action, max): (&Action, &Option<Scope>)| ActionCeiling {
            feature_id: *feature,
            action: action.clone(),
            max_scope: *max,
        };
        actions.iter().map(ceiling)
    });
    RequestedCeilings { hidden_views: draft.hidden_views.iter().copied().collect(), actions: actions.collect() }
}

/// Returns hidden fields for the ceilings of the draft that `is_shown` does not select.
pub(super) fn hidden_fields(draft: &Ceilings, is_shown: impl Fn(&Cell) -> bool) -> Markup {
    html! {
        @for view in draft.hidden_views.iter().filter(|view| !is_shown(&Cell::View(**view))) {
            input type="hidden" name=(HIDE) value=(view);
        }
        @for (feature, actions) in &draft.actions {
            @for (action, max) in actions {
                @if !is_shown(&Cell::Action(*feature, action.clone())) {
                    input type="hidden" name=(field_of(*feature, action)) value=(value_of(*max));
                }
            }
        }
    }
}

/// Returns the ceilings `now` with the changes that lead from `base` to `draft`.
pub(super) fn rebased(now: &Ceilings, base: &Ceilings, draft: &Ceilings) -> Ceilings {
    let mut rebased = now.clone();
    for Difference { cell, .. } in differences(base, draft) {
        match cell {
            Cell::View(view) if draft.hides(view) => drop(rebased.hidden_views.insert(view)),
            Cell::View(view) => drop(rebased.hidden_views.remove(&view)),
            Cell::Action(feature, action) => {
                let actions = rebased.actions.entry(feature).or_default();
                match draft.max_scope(feature, &action) {
                    Some(Scope::Any) => drop(actions.remove(&action)),
                    max => drop(actions.insert(action, max)),
                }
            }
        }
    }
    rebased.actions.retain(|_, actions| !actions.is_empty());
    rebased
}

/// A ceiling that differs: the cell, and the texts before and after.
pub(super) struct Difference {
    pub(super) cell: Cell,
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

/// Returns the ceilings that differ between the stored ceilings and the draft.
pub(super) fn differences(stored: &Ceilings, draft: &Ceilings) -> Vec<Difference> {
    let view = |hidden: bool| if hidden { "Hidden" } else { "No ceiling" };
    let views = stored.hidden_views.symmetric_difference(&draft.hidden_views).map(|id| Difference {
        cell: Cell::View(*id),
        before: view(stored.hides(*id)),
        after: view(draft.hides(*id)),
    });
    let all = stored.actions.iter().chain(&draft.actions);
    let all = all.flat_map(|(feature, actions)| actions.keys().map(|action| (*feature, action.clone())));
    let actions: BTreeMap<_, _> = all
        .map(|(feature, action)| {
            let max = (stored.max_scope(feature, &action), draft.max_scope(feature, &action));
            ((feature, action), max)
        })
        .filter(|(_, (before, after))| before != after)
        .collect();
    let actions = actions.into_iter().map(|((feature, action), (before, after))| Difference {
        cell: Cell::Action(feature, action),
        before: label_of(before),
        after: label_of(after),
    });
    views.chain(actions).collect()
}

/// Returns the features of the catalog that can have ceilings: all except those of the service itself.
pub(super) fn may_have_ceilings(catalog: &Catalog, feature: FeatureId) -> bool {
    catalog.feature(feature).is_some_and(|feature| !feature.key.as_ref().is_some_and(is_reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "018f3c1e-0000-7000-8000-000000000001";

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_form_is_parsed_and_written_back() {
        let fields = vec![
            field("csrf", "x"),
            field(HIDE, ID),
            field(&format!("max.{ID}.Read"), ""),
            field(&format!("max.{ID}.sign.off"), FORBIDDEN),
            field(&format!("max.{ID}.Approve"), "team"),
        ];
        let draft = parse(&fields).unwrap();
        assert_eq!((draft.hidden_views.len(), draft.actions.values().map(BTreeMap::len).sum::<usize>()), (1, 2));
        let written = hidden_fields(&draft, |_| false).into_string();
        for expected in [format!(r#"name="max.{ID}.sign.off" value="forbidden""#), format!(r#"value="{ID}""#)] {
            assert!(written.contains(&expected), "{expected}: {written}");
        }
        assert!(!written.contains(".Read"), "{written}");
        assert_eq!(hidden_fields(&draft, |_| true).into_string(), "");
        assert_eq!(differences(&draft, &draft).len(), 0);
        let from_none: Vec<_> = differences(&Ceilings::default(), &draft).iter().map(|found| found.after).collect();
        assert_eq!(from_none, ["Hidden", "At most team", "Not permitted"]);
    }

    #[test]
    fn unknown_fields_are_rejected() {
        let action = format!("max.{ID}.Read");
        for (name, value) in [(HIDE, "x"), ("max.x.Read", "own"), ("max.", ""), (action.as_str(), "everyone")] {
            assert!(parse(&vec![field(name, value)]).is_err(), "{name}={value}");
        }
    }
}
