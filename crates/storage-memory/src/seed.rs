//! The initial catalog of a new installation.

use iam_domain::seed;
use iam_storage::{Result, StorageError, UnitOfWork};

/// Writes the seed data into an empty catalog.
pub(crate) async fn write(tx: &mut dyn UnitOfWork) -> Result<()> {
    let seed = seed::catalog(tx.now()).map_err(StorageError::corrupt)?;
    for view in &seed.views {
        tx.views_mut().create(view).await?;
    }
    for module in &seed.modules {
        tx.modules_mut().create(module).await?;
    }
    for feature in &seed.features {
        tx.features_mut().create(feature).await?;
    }
    for (feature, view) in seed.feature_views {
        tx.feature_views_mut().add(feature, view).await?;
    }
    for (module, view) in seed.module_views {
        tx.module_views_mut().add(module, view).await?;
    }
    for (module, feature) in seed.module_features {
        tx.module_features_mut().add(module, feature).await?;
    }
    for item in &seed.menu_items {
        tx.menu_items_mut().create(item).await?;
    }
    for item in &seed.sub_menu_items {
        tx.sub_menu_items_mut().create(None, item).await?;
    }
    Ok(())
}
