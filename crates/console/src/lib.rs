//! The admin console: pages on which people see and change who may do what.
//!
//! The pages are rendered on the server. A request for a page passes through the middleware of the server, then through
//! `guard` (security headers, cross-site requests) and `session` (the signed-in person). The extractor
//! `authorized::Authorized` then checks the same requirement as the API does, and the page calls the same use cases. No
//! page reads the storage in another way.
//!
//! The server inserts an `Rc<dyn RequestAccount>` into the extensions of each request, through which the pages are counted
//! and limited as operations of the API are.

mod assets;
mod authorized;
mod console;
mod csv;
mod error;
mod form;
mod guard;
mod gzip;
mod layout;
mod mount;
mod page;
mod pages;
mod path;
mod platform;
mod provider;
mod quantity;
mod refusal;
mod session;
mod submitted;

pub use console::{Console, ConsoleOptions, ConsoleServices, DemoUser};
pub use guard::failed;
pub use mount::configure;
pub use path::PATH;
pub use provider::SignInIssuer;
