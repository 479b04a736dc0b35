//! Changes to views. These changes require super admin rights.

use async_trait::async_trait;
use iam_domain::{Caller, Category, Description, Icon, Name, View, ViewId, ViewUrl};
use iam_storage::{Target, UnitOfWork};
use uuid::Uuid;

use super::menu::check_unused;
use crate::{Change, Failure, IfMatch, Patch, Requirement};

pub(crate) const VIEW: &str = "View";

/// Creates a view.
#[derive(Debug, Clone)]
pub struct CreateView {
    /// The display name of the view.
    pub name: Name,
    /// The URL of the view.
    pub url: ViewUrl,
    /// The category of the view.
    pub category: Option<Category>,
    /// The description of the view.
    pub description: Option<Description>,
    /// The icon of the view.
    pub icon: Option<Icon>,
    /// If `false`, the view is public: all users may see it.
    pub requires_auth: bool,
}

#[async_trait]
impl Change for CreateView {
    type Answer = View;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Catalog
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        Ok(tx.views().find_by_id(ViewId::from_uuid(id)).await?)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let now = tx.now();
        let view = View {
            id: ViewId::generate(now),
            name: self.name.clone(),
            url: self.url.clone(),
            category: self.category.clone(),
            description: self.description.clone(),
            icon: self.icon.clone(),
            requires_auth: self.requires_auth,
            created_at: now,
            updated_at: now,
        };
        tx.views_mut().create(&view).await?;
        Ok(view)
    }
}

/// Updates a view. Omitted fields remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateView {
    /// The view to update.
    pub id: ViewId,
    /// The display name of the view.
    pub name: Option<Name>,
    /// The URL of the view.
    pub url: Option<ViewUrl>,
    /// The category of the view.
    pub category: Patch<Category>,
    /// The description of the view.
    pub description: Patch<Description>,
    /// The icon of the view.
    pub icon: Patch<Icon>,
    /// If `false`, the view is public: all users may see it.
    pub requires_auth: Option<bool>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateView {
    type Answer = View;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let before = tx.views().find_by_id(self.id).await?.ok_or(Failure::NotFound(VIEW))?;
        self.if_match.check(&before)?;
        let mut view = before.clone();
        view.name = self.name.clone().unwrap_or(view.name);
        view.url = self.url.clone().unwrap_or(view.url);
        self.category.apply(&mut view.category);
        self.description.apply(&mut view.description);
        self.icon.apply(&mut view.icon);
        view.requires_auth = self.requires_auth.unwrap_or(view.requires_auth);
        if view != before {
            view.updated_at = tx.now();
            tx.views_mut().update(&view).await?;
        }
        Ok(view)
    }
}

/// Deletes a view. This fails if a menu item uses the view.
#[derive(Debug, Clone)]
pub struct DeleteView {
    /// The view to delete.
    pub id: ViewId,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for DeleteView {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Catalog
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let view = tx.views().find_by_id(self.id).await?.ok_or(Failure::NotFound(VIEW))?;
        self.if_match.check(&view)?;
        check_unused(VIEW, &tx.menu_items().find_using_view(self.id).await?)?;
        tx.views_mut().delete(self.id).await?;
        Ok(())
    }
}
