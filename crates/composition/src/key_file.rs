//! The file of public keys: read at the start, and looked at again while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iam_identity::{KeyError, KeySet, TokenVerifier};

/// How often the file is looked at.
const LOOKS: Duration = Duration::from_secs(60);

/// The file of public keys cannot be used. One line that names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file, it may not be read, or it is no text.
    #[error("IAM__AUTH__PUBLIC_KEY_FILE: cannot read {}: {source}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is no key that can be used.
    #[error("IAM__AUTH__PUBLIC_KEY_FILE: {}: {source}", .path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Which block, and why.
        source: KeyError,
    },
}

/// The file, and what was in it when keys were last taken from it.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    content: String,
}

impl KeyFile {
    /// Reads it for the first time.
    pub(crate) async fn open(path: &Path) -> Result<(Self, KeySet), KeyFileError> {
        let content = read(path).await?;
        let keys = parse(path, &content)?;
        Ok((Self { path: path.to_owned(), content }, keys))
    }

    /// Hands changed keys to the verifier, until it is stopped.
    pub(crate) async fn follow(mut self, verifier: Arc<TokenVerifier>) {
        let mut ticks = tokio::time::interval(LOOKS);
        loop {
            ticks.tick().await;
            match self.changed().await {
                Ok(None) => {}
                Ok(Some(keys)) => {
                    tracing::info!(?keys, "the public keys have changed: tokens are verified with the new ones");
                    verifier.replace_keys(keys);
                }
                Err(error) => tracing::warn!("{error}; the keys of before are kept"),
            }
        }
    }

    /// The keys, if the content is another one. Content with an error in it counts as never seen.
    async fn changed(&mut self) -> Result<Option<KeySet>, KeyFileError> {
        let content = read(&self.path).await?;
        if content == self.content {
            return Ok(None);
        }
        let keys = parse(&self.path, &content)?;
        self.content = content;
        Ok(Some(keys))
    }
}

async fn read(path: &Path) -> Result<String, KeyFileError> {
    tokio::fs::read_to_string(path).await.map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })
}

fn parse(path: &Path, content: &str) -> Result<KeySet, KeyFileError> {
    KeySet::from_pem(content).map_err(|source| KeyFileError::Unusable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAnKef7vaY+m8EM1Tz521Ce8GrkGaCoPPw3x1jhrPQVRM=
-----END PUBLIC KEY-----
";
    const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7zfFdrZrbeHCMo5VZCw2ngaSCpve
tB34i5K4rYMRoBOxR4o2gva+t8UEyLEZzmhdqpvWjtd2fyYhrDQNVTl/FQ==
-----END PUBLIC KEY-----
";

    /// A key file that lasts as long as this.
    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("iam-keys-{}-{name}.pem", std::process::id())))
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[tokio::test]
    async fn keys_are_handed_on_when_the_content_changes_and_only_then() {
        let temp = TempFile::new("changes");
        temp.write(ED25519);
        let (mut file, keys) = KeyFile::open(&temp.0).await.unwrap();
        assert_eq!(format!("{keys:?}"), "[EdDSA]");
        assert!(file.changed().await.unwrap().is_none());
        temp.write(ED25519);
        assert!(file.changed().await.unwrap().is_none(), "it was written again as it was");

        temp.write(&format!("{ED25519}{P256}"));
        assert_eq!(format!("{:?}", file.changed().await.unwrap().unwrap()), "[EdDSA, ES256]");
        assert!(file.changed().await.unwrap().is_none());
        temp.write(P256);
        assert_eq!(format!("{:?}", file.changed().await.unwrap().unwrap()), "[ES256]");
    }

    #[tokio::test]
    async fn a_file_that_went_bad_is_an_error_until_it_is_good_again() {
        let temp = TempFile::new("bad");
        temp.write(ED25519);
        let (mut file, _) = KeyFile::open(&temp.0).await.unwrap();
        for (content, problem) in [
            ("", "there is no PEM block in it"),
            (&format!("{ED25519}{}", &P256[..60]), "PEM block 2 is damaged or incomplete"),
        ] {
            temp.write(content);
            for _ in 0..2 {
                let error = file.changed().await.unwrap_err().to_string();
                assert_eq!(error, format!("IAM__AUTH__PUBLIC_KEY_FILE: {}: {problem}", temp.0.display()));
            }
        }
        std::fs::remove_file(&temp.0).unwrap();
        let error = file.changed().await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("IAM__AUTH__PUBLIC_KEY_FILE: cannot read {}: ", temp.0.display())),
            "{error}"
        );

        temp.write(ED25519);
        assert!(file.changed().await.unwrap().is_none(), "the keys of before are those that are in use");
        temp.write(P256);
        assert!(file.changed().await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn within_a_minute_the_verifier_has_the_new_keys_and_it_keeps_them_when_the_file_goes_bad() {
        let temp = TempFile::new("followed");
        temp.write(ED25519);
        let (file, keys) = KeyFile::open(&temp.0).await.unwrap();
        let verifier = Arc::new(TokenVerifier::new(keys, 10));
        let task = tokio::spawn(file.follow(Arc::clone(&verifier)));
        for (content, expected) in [(ED25519, "[EdDSA]"), (P256, "[ES256]"), ("oh", "[ES256]"), (ED25519, "[EdDSA]")] {
            temp.write(content);
            // The clock stands still but for this, and waits for files that are being read.
            tokio::time::sleep(LOOKS).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(format!("{verifier:?}").contains(expected), "{verifier:?}");
        }
        task.abort();
    }
}
