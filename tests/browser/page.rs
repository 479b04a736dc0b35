//! What every page must meet: no violation of the content security policy, no failure of a script, and no finding of axe.

use std::fmt::Write as _;
use std::path::Path;

use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::driver::take_problems;
use crate::service::variable;

/// Runs axe with the rules of WCAG 2.2 AA, and passes its findings to the driver.
const RUN_AXE: &str = "
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { runOnly: { type: 'tag', values: tags } }).then(
        (result) => done(result.violations.map((found) => ({
            rule: found.id, help: found.help, nodes: found.nodes.map((node) => node.html).slice(0, 5),
        }))),
        (error) => done([{ rule: 'axe', help: String(error), nodes: [] }]),
    );";

/// Asserts that the page that is shown meets the requirements, in the given state.
pub async fn assert_sound(browser: &Client, state: &str) {
    let axe = std::fs::read_to_string(variable("IAM_AXE")).unwrap();
    browser.execute(&axe, Vec::new()).await.unwrap();
    let findings = browser.execute_async(RUN_AXE, Vec::new()).await.unwrap();
    let mut text = String::new();
    for finding in findings.as_array().unwrap() {
        writeln!(text, "{}: {}\\n  {}", finding["rule"], finding["help"], finding["nodes"]).unwrap();
    }
    let address = browser.current_url().await.unwrap();
    let mut problems = take_problems(browser).await.unwrap();
    // The status of the page itself is not a problem of the page.
    let of_page = format!("{address} - Failed to load resource");
    problems.retain(|problem| !problem.trim_start_matches('"').starts_with(&of_page));
    assert_eq!((text.as_str(), problems), ("", Vec::new()), "{state}: {address}");
}

/// Asserts that the page is sound and not wider than the screen of [`Driver::narrow_and_dark`](crate::driver::Driver), and
/// writes a screenshot.
pub async fn assert_fits_in_the_dark(browser: &Client, name: &str) {
    assert_sound(browser, &format!("{name}, narrow and dark")).await;
    let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let overflow = browser.execute(script, Vec::new()).await.unwrap();
    assert_eq!(overflow, 0, "{name} is wider than the screen");
    screenshot(browser, &format!("{name}-dark")).await;
}

/// Writes a screenshot with this name to the folder of the environment variable `SCREENSHOTS`, if it is set.
pub async fn screenshot(browser: &Client, name: &str) {
    #[expect(clippy::disallowed_methods, reason = "`run.sh` passes the folder to the tests")]
    let folder = std::env::var_os("SCREENSHOTS");
    if let Some(folder) = folder.filter(|folder| !folder.is_empty()) {
        let image = browser.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), image).unwrap();
    }
}

/// Waits until a selector finds an element.
pub async fn present(browser: &Client, selector: &str) {
    let found = browser.wait().for_element(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector} did not appear: {error}"));
}

/// Clicks the first element that a selector finds, as soon as it exists.
pub async fn click(browser: &Client, selector: &str) {
    present(browser, selector).await;
    browser.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
}

/// Returns the text of the element, as soon as it exists.
pub async fn text(browser: &Client, selector: &str) -> String {
    browser.wait().for_element(Locator::Css(selector)).await.unwrap().text().await.unwrap()
}

/// Returns the number of bytes that the page and its files had in transfer.
pub async fn transferred(browser: &Client) -> u64 {
    let script = "return performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
        .reduce((sum, entry) => sum + entry.transferSize, 0)";
    let sum: Value = browser.execute(script, vec![json!(null)]).await.unwrap();
    sum.as_u64().unwrap()
}
