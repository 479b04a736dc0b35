//! Mounts the admin console, if the program contains it and the settings enable it.

use std::error::Error;

use iam_composition::{Demo, Settings, System};
use iam_http::Pages;

/// Returns the pages of the console. Returns `None` if the settings disable it.
#[cfg(feature = "console")]
pub(super) fn pages(
    settings: &Settings,
    system: &System,
    demo: Option<&Demo>,
) -> Result<Option<Pages>, Box<dyn Error>> {
    use std::sync::Arc;

    use iam_console::{Console, ConsoleOptions, ConsoleServices, DemoUser, PATH, SignInIssuer, configure, failed};

    if !settings.console.enabled {
        return Ok(None);
    }
    let people = demo.map(Demo::people).transpose()?.unwrap_or_default();
    let demo_users = people.into_iter().map(|person| DemoUser {
        user: person.user,
        label: person.name.to_owned(),
        description: person.description.to_owned(),
        is_super_admin: person.is_super_admin,
    });
    let issuers = settings.auth.issuers.iter().filter_map(|issuer| {
        let (client_id, client_secret) = (issuer.client_id.clone()?, issuer.client_secret.clone());
        Some(SignInIssuer { issuer: issuer.issuer.clone(), client_id, client_secret })
    });
    let options = ConsoleOptions {
        idle_timeout: settings.console.idle_timeout,
        absolute_timeout: settings.console.absolute_timeout,
        public_url: settings.console.public_url.clone(),
        issuers: issuers.collect(),
        demo_users: demo_users.collect(),
    };
    let services = ConsoleServices {
        application: Arc::clone(&system.application),
        verifier: Arc::clone(&system.verifier),
        clock: system.clock.clone(),
        probe: Arc::clone(&system.probe),
        figures: Arc::clone(&system.figures),
    };
    let console = Console::new(services, options);
    Ok(Some(Pages { path: PATH, mount: Arc::new(move |config| configure(config, &console)), failed }))
}

/// Returns `None`, because the program does not contain the console.
#[cfg(not(feature = "console"))]
pub(super) fn pages(_: &Settings, _: &System, _: Option<&Demo>) -> Result<Option<Pages>, Box<dyn Error>> {
    Ok(None)
}
