//! The command `iam check-config`, which checks all settings and prints every problem.

use std::error::Error;

use iam_composition::SettingsCheck;

use super::listen::{ADMIN, API, addresses};
use super::output::print;
use super::serve::{allowed_origins, client_addresses};

/// Checks the settings of this process. Fails with all problems, one in each line.
pub(super) async fn run() -> Result<(), Box<dyn Error>> {
    let SettingsCheck { settings, mut problems } =
        iam_composition::check_settings(&iam_composition::environment()).await;
    if let Some(settings) = settings {
        let (server, admin) = (&settings.server, &settings.admin);
        problems.extend(allowed_origins(&settings).err());
        problems.extend(client_addresses(&settings).err());
        problems.extend(addresses(API, &server.host, server.port).await.err());
        if admin.enabled {
            problems.extend(addresses(ADMIN, &admin.host, admin.port).await.err());
        }
    }
    match problems.as_slice() {
        [] => print("the settings are valid"),
        [problem] => Err(problem.as_str().into()),
        all => Err(format!("{} problems:\n{}", all.len(), all.join("\n")).into()),
    }
}
