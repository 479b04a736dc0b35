//! Cursors: opaque strings that contain the position of a page. A cursor is signed, and it is valid only for the list,
//! the caller, the company and the parameters for which it was issued.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use iam_domain::{Caller, CompanyId};
use iam_storage::CursorKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::{Failure, FieldCode, FieldError};

/// The first byte of a cursor: the version of its format.
const FORMAT: u8 = 1;
/// Length of the signature in bytes.
const SIGNATURE: usize = 32;
/// Maximum length of a cursor in characters. The longest positions contain a name of 255 characters.
const MAX_LENGTH: usize = 4096;

/// What a cursor is valid for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    /// The name of the list.
    pub(crate) list: &'static str,
    /// The caller who reads the list.
    pub(crate) caller: Caller,
    /// The company whose data the list contains. `None` for a list of the platform.
    pub(crate) company: Option<CompanyId>,
    /// The parameters of the list: its filters and its sort order.
    pub(crate) parameters: &'a str,
}

impl Binding<'_> {
    /// Returns the state of the signature after the binding and a position. Each part is preceded by its length, so two
    /// different sequences of parts never have the same bytes.
    fn signature(&self, key: &CursorKey, position: &[u8]) -> Result<Hmac<Sha256>, Failure> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).map_err(|error| Failure::Internal(Box::new(error)))?;
        let caller = self.caller.actor().to_string();
        let company = self.company.map(|company| company.to_string()).unwrap_or_default();
        let parts = [
            &[FORMAT],
            self.list.as_bytes(),
            caller.as_bytes(),
            company.as_bytes(),
            self.parameters.as_bytes(),
            position,
        ];
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            mac.update(part);
        }
        Ok(mac)
    }

    /// Returns the cursor of a position.
    pub(crate) fn seal(&self, key: &CursorKey, position: &impl Serialize) -> Result<String, Failure> {
        let position = serde_json::to_vec(position).map_err(|error| Failure::Internal(Box::new(error)))?;
        let signature = self.signature(key, &position)?.finalize().into_bytes();
        let mut bytes = Vec::with_capacity(1 + SIGNATURE + position.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(&position);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the position that a cursor contains. Returns `None` if the cursor was not issued for this binding with
    /// this key.
    pub(crate) fn open<P: DeserializeOwned>(&self, key: &CursorKey, cursor: &str) -> Result<Option<P>, Failure> {
        if cursor.len() > MAX_LENGTH {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        let Some((&FORMAT, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((signature, position)) = rest.split_at_checked(SIGNATURE) else { return Ok(None) };
        if self.signature(key, position)?.verify_slice(signature).is_err() {
            return Ok(None);
        }
        Ok(serde_json::from_slice(position).ok())
    }
}

/// Returns the failure for a cursor that was not issued for this request.
pub(crate) fn invalid_cursor() -> Failure {
    Failure::Invalid(vec![FieldError::new(
        "cursor",
        FieldCode::Cursor,
        "was not issued for this list, this caller, this company and these parameters",
    )])
}

#[cfg(test)]
mod tests {
    use iam_domain::{ApiKeyId, Service, ServiceRole, UserId};
    use uuid::Uuid;

    use super::*;

    const KEY: CursorKey = CursorKey([7; 32]);

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn binding() -> Binding<'static> {
        Binding {
            list: "users",
            caller: Caller::user(UserId::from_uuid(id(1))),
            company: Some(CompanyId::from_uuid(id(2))),
            parameters: "sort=id",
        }
    }

    fn open(binding: Binding<'_>, key: &CursorKey, cursor: &str) -> Option<(String, u64)> {
        binding.open(key, cursor).unwrap()
    }

    #[test]
    fn a_cursor_is_valid_only_for_its_binding_and_key() {
        let position = ("name".to_owned(), 7_u64);
        let cursor = binding().seal(&KEY, &position).unwrap();
        assert_eq!(open(binding(), &KEY, &cursor), Some(position));
        let service =
            |key| Service { key: ApiKeyId::from_uuid(id(key)), role: ServiceRole::Read, company: None, rate: None };
        let others = [
            Binding { list: "companies", ..binding() },
            Binding { list: "user", parameters: "ssort=id", ..binding() },
            Binding { caller: Caller::user(UserId::from_uuid(id(3))), ..binding() },
            Binding { caller: Caller::Service(service(1)), ..binding() },
            Binding { company: Some(CompanyId::from_uuid(id(3))), ..binding() },
            Binding { company: None, ..binding() },
            Binding { parameters: "", ..binding() },
        ];
        for other in others {
            assert_eq!(open(other, &KEY, &cursor), None, "{other:?}");
        }
        assert_eq!(open(binding(), &CursorKey([8; 32]), &cursor), None);
    }

    #[test]
    fn a_changed_cursor_is_invalid() {
        let cursor = binding().seal(&KEY, &("name", 7)).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(open(binding(), &KEY, &URL_SAFE_NO_PAD.encode(&changed)), None, "{place}");
            assert_eq!(open(binding(), &KEY, &URL_SAFE_NO_PAD.encode(&bytes[..place])), None, "{place}");
        }
        let long = "A".repeat(MAX_LENGTH + 4);
        for text in ["", "x", "%00", "====", "018f3c1e-0000-7000-8000-000000000001", &long, &format!("{cursor}A")] {
            assert_eq!(open(binding(), &KEY, text), None, "{text}");
        }
    }

    #[test]
    fn a_position_of_another_type_is_invalid() {
        let cursor = binding().seal(&KEY, &7).unwrap();
        assert_eq!(open(binding(), &KEY, &cursor), None);
    }
}
