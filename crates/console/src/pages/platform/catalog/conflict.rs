//! What differs between the stored entry and a form, for a person whose form is based on an older entry.

use maud::{Markup, html};

use super::kind::Kind;
use super::typed::Typed;

/// Returns the fields of which the typed value is not the stored one, with both values.
pub(super) fn differences<K: Kind>(stored: &Typed, typed: &Typed, choices: &K::Choices) -> Markup {
    let texts = K::FIELDS.iter().map(|(name, label)| {
        let text = |typed: &Typed| {
            let value = normalized(typed.get(name));
            K::text(choices, name, &value).unwrap_or(value)
        };
        (*label, text(stored), text(typed))
    });
    let flags = K::FLAGS.iter().map(|(name, label)| {
        let text = |typed: &Typed| (if typed.flag(name) { "yes" } else { "no" }).to_owned();
        (*label, text(stored), text(typed))
    });
    let differing: Vec<_> = texts.chain(flags).filter(|(_, stored, typed)| stored != typed).collect();
    html! {
        @if differing.is_empty() {
            p { "What you typed is what is stored now." }
        } @else {
            div.scroll role="region" aria-label="Differences" tabindex="0" {
                table.effect {
                    caption { "If you save again, you replace the stored values" }
                    thead { tr { th scope="col" { "Field" } th scope="col" { "Stored now" } th scope="col" { "Your form" } } }
                    tbody {
                        @for (label, stored, typed) in &differing {
                            tr { th scope="row" { (label) } td { (value(stored)) } td { strong { (value(typed)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a text of a form as it is stored.
fn normalized(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}

fn value(text: &str) -> Markup {
    html! { @if text.is_empty() { span.muted { "empty" } } @else { bdi.lines { (text) } } }
}
