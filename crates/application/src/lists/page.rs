//! Reads one page of a list, for every list in the same way.

use iam_storage::CursorKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lists::cursor::{Binding, invalid_cursor};
use crate::reads::Total;
use crate::{Application, Failure};

/// The requested page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Maximum number of elements on the page.
    pub limit: u64,
    /// The cursor of the page. `None` for the first page.
    pub cursor: Option<String>,
    /// Whether to count all elements of the list.
    pub include_total: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The elements of the page, in the order of the list.
    pub elements: Vec<T>,
    /// The cursor of the next page. `None` on the last page.
    pub next_cursor: Option<String>,
    /// The total number of elements, if it was requested.
    pub total: Option<Total>,
}

impl Application {
    /// Reads a page of a list. `read` returns the elements after a position, at most as many as requested. `position`
    /// returns the position of an element.
    pub(crate) async fn page<T, P: Serialize + DeserializeOwned>(
        &self,
        binding: &Binding<'_>,
        request: &PageRequest,
        position: impl Fn(&T) -> P,
        read: impl AsyncFnOnce(Option<P>, u64) -> iam_storage::Result<Vec<T>>,
    ) -> Result<Page<T>, Failure> {
        let after = self.open_cursor(binding, request).await?;
        // One element more than requested is read, to determine whether there is a next page.
        let mut elements = read(after, request.limit.saturating_add(1)).await?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let has_next = elements.len() > limit;
        elements.truncate(limit);
        let next_cursor = match elements.last().filter(|_| has_next) {
            Some(last) => Some(self.seal_cursor(binding, &position(last)).await?),
            None => None,
        };
        Ok(Page { elements, next_cursor, total: None })
    }

    /// Returns the position in the cursor of a request, or `None` if the request has no cursor.
    pub(crate) async fn open_cursor<P: DeserializeOwned>(
        &self,
        binding: &Binding<'_>,
        request: &PageRequest,
    ) -> Result<Option<P>, Failure> {
        let Some(cursor) = request.cursor.as_deref() else { return Ok(None) };
        if let Some(key) = self.cursor_key.get()
            && let Some(position) = binding.open(&key, cursor)?
        {
            return Ok(Some(position));
        }
        // The key may have changed, because another database was restored. It is read again before the cursor is
        // rejected.
        let key = self.read_cursor_key().await?;
        binding.open(&key, cursor)?.map(Some).ok_or_else(invalid_cursor)
    }

    /// Returns the cursor of a position.
    pub(crate) async fn seal_cursor(
        &self,
        binding: &Binding<'_>,
        position: &impl Serialize,
    ) -> Result<String, Failure> {
        binding.seal(&self.known_cursor_key().await?, position)
    }

    /// Returns the key that signs cursors. It is read only once.
    pub(crate) async fn known_cursor_key(&self) -> Result<CursorKey, Failure> {
        match self.cursor_key.get() {
            Some(key) => Ok(key),
            None => self.read_cursor_key().await,
        }
    }

    async fn read_cursor_key(&self) -> Result<CursorKey, Failure> {
        let key = self.reader().cursor_keys().cursor_key().await?;
        self.cursor_key.set(key);
        Ok(key)
    }
}
