//! Moves an entry of the menu among the entries with the same parent.

use actix_web::http::StatusCode;
use actix_web::web::Query;
use actix_web::{Either, HttpResponse};
use iam_application::{Failure, OrderMenuItems, OrderSubMenuItems};
use iam_domain::{CompanyId, MenuItemId, SubMenuItemId};
use serde::Deserialize;
use uuid::Uuid;

use super::super::control::refusal;
use super::frame::{Place, Tab, tab_path};
use super::menu::{Tree, render};
use super::sequence::{Direction, moved, order_tag};
use crate::authorized::SuperAdmin;
use crate::error::PageError;
use crate::page::{Page, see_other};
use crate::platform::OnPlatform;
use crate::submitted::Submitted;

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
    sent: Submitted<OnPlatform<SuperAdmin>, Move>,
    place: Query<Place>,
) -> Result<Either<Page, HttpResponse>, PageError> {
    let (page, form) = (sent.page, sent.form);
    let owner = place.owner(page.application()).await?;
    match order(&page, owner, &form).await {
        Ok(()) => {
            let (path, Move { entry, to, .. }) = (tab_path(Tab::Menu, owner), form);
            let separator = if path.contains('?') { '&' } else { '?' };
            Ok(Either::Right(see_other(&format!("{path}{separator}moved={entry}&to={}", to.as_str()))))
        }
        Err(failure) => {
            let page = render(&page, &place, Some(refusal(failure)?)).await?;
            Ok(Either::Left(page.with_status(StatusCode::CONFLICT)))
        }
    }
}

/// Moves the entry, if the order is still the one that the person saw.
async fn order(page: &OnPlatform<SuperAdmin>, owner: Option<CompanyId>, form: &Move) -> Result<(), Failure> {
    let tree = Tree::read(page.application(), owner).await?;
    let parent = match form.parent.as_str() {
        "" => None,
        id => Some(MenuItemId::parse(id).map_err(|error| Failure::invalid("parent", error))?),
    };
    let seen = tree.siblings(parent);
    if !order_tag(&seen)?.matches_tag(&form.tag) {
        return Err(Failure::PreconditionFailed);
    }
    let before = Uuid::try_parse(&form.before).ok();
    let order = moved(&seen, form.entry, form.to, before).ok_or(Failure::PreconditionFailed)?;
    match parent {
        None => {
            let items = |ids: Vec<Uuid>| ids.into_iter().map(MenuItemId::from_uuid).collect();
            page.execute(OrderMenuItems { owner, seen: items(seen), order: items(order) }).await.map(drop)
        }
        Some(menu_item_id) => {
            let items = |ids: Vec<Uuid>| ids.into_iter().map(SubMenuItemId::from_uuid).collect();
            let (seen, order) = (items(seen), items(order));
            page.execute(OrderSubMenuItems { owner, menu_item_id, seen, order }).await.map(drop)
        }
    }
}
