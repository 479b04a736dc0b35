//! Moves an entry of the menu among the entries with the same parent.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{Failure, IfMatch, Patch, UpdateMenuItem, UpdateSubMenuItem};
use iam_domain::{CompanyId, MenuItemId, SubMenuItemId};
use serde::Deserialize;
use uuid::Uuid;

use super::super::control::refusal;
use super::frame::{Place, Tab, tab_path};
use super::menu::{Tree, render};
use super::sequence::{Direction, keys, moved, order_tag};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::page::{Page, see_other};
use crate::platform::{OnPlatform, SubmittedOnPlatform};

/// The form that moves an entry.
#[derive(Debug, Deserialize)]
pub(crate) struct Move {
    /// The id of the entry.
    entry: Uuid,
    /// The menu item that the entry belongs to. Empty if the entry is a menu item.
    #[serde(default)]
    parent: String,
    to: Direction,
    /// The entry before which the entry is moved. Empty for the end.
    #[serde(default)]
    before: String,
    /// The entity tag of the order that the person saw.
    tag: String,
}

/// `POST /console/catalog/menu/move`
pub(crate) async fn change(
    sent: SubmittedOnPlatform<SuperAdmin, Move>,
    place: Query<Place>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, form, owner) = (sent.page, sent.form, place.owner()?);
    match order(&page, owner, &form).await {
        Ok(()) => Ok(Either::Right(see_other(&tab_path(Tab::Menu, owner)))),
        Err(failure) => {
            let page = render(&page, &place, Some(refusal(failure)?)).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

/// Moves the entry: sets the sort keys of those entries whose keys change.
async fn order(page: &OnPlatform<SuperAdmin>, owner: Option<CompanyId>, form: &Move) -> Result<(), Failure> {
    let tree = Tree::read(page.application(), owner).await?;
    let parent = match form.parent.as_str() {
        "" => None,
        id => Some(MenuItemId::parse(id).map_err(|error| Failure::invalid("parent", error))?),
    };
    let siblings = tree.siblings(parent);
    let ids: Vec<_> = siblings.iter().map(|(id, _)| *id).collect();
    if !order_tag(&ids)?.matches_tag(&form.tag) {
        return Err(Failure::PreconditionFailed);
    }
    let before = Uuid::try_parse(&form.before).ok();
    let after = moved(&ids, form.entry, form.to, before).ok_or(Failure::PreconditionFailed)?;
    let keys = keys(&siblings.iter().map(|(_, key)| *key).collect::<Vec<_>>());
    let changed: Vec<_> = after.into_iter().zip(keys).filter(|pair| !siblings.contains(pair)).collect();
    page.charge(changed.len().saturating_sub(1));
    for (id, key) in changed {
        match parent {
            None => page.execute(item_with_key(owner, MenuItemId::from_uuid(id), key)).await.map(drop)?,
            Some(_) => page.execute(sub_item_with_key(owner, SubMenuItemId::from_uuid(id), key)).await.map(drop)?,
        }
    }
    Ok(())
}

fn item_with_key(owner: Option<CompanyId>, id: MenuItemId, key: i32) -> UpdateMenuItem {
    UpdateMenuItem {
        owner,
        id,
        label: None,
        icon: Patch::Keep,
        priority: None,
        required_permissions: Patch::Keep,
        sort_order: Some(key),
        view_id: Patch::Keep,
        feature_id: Patch::Keep,
        is_entrypoint: None,
        if_match: IfMatch::Absent,
    }
}

fn sub_item_with_key(owner: Option<CompanyId>, id: SubMenuItemId, key: i32) -> UpdateSubMenuItem {
    UpdateSubMenuItem {
        owner,
        id,
        menu_item_id: None,
        label: None,
        view_id: Patch::Keep,
        feature_id: Patch::Keep,
        icon: Patch::Keep,
        sort_order: Some(key),
        enabled: None,
        if_match: IfMatch::Absent,
    }
}
