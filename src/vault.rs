//! Secrets at rest: authenticated encryption (ChaCha20-Poly1305) under one master key.
//!
//! A sealed value is `nonce (12 bytes) ‖ ciphertext ‖ tag`. The place it belongs to (`accounts/
//! wx…/secret`) is authenticated with it, so a value copied into another row does not open.

mod file;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;

const NONCE_BYTES: usize = 12;
const FINGERPRINT_BYTES: usize = 16;
const KEY_FILE: &str = "master.key";

/// The master key, ready to seal and open. Its `Debug` form shows nothing.
#[derive(Clone)]
pub struct Vault {
    cipher: ChaCha20Poly1305,
    /// For [`Vault::fingerprint`]: without the master key nobody can tell what it was made of.
    fingerprint_key: [u8; 32],
}

/// Why a secret could not be sealed or opened.
#[derive(Debug, Error)]
pub enum VaultError {
    /// `QUEQIAO_MASTER_KEY` is not a key.
    #[error(
        "QUEQIAO_MASTER_KEY must be 32 bytes in base64; make one with: openssl rand -base64 32"
    )]
    BadKey,
    /// The key file cannot be read or made.
    #[error("master key file {path}: {source}")]
    KeyFile {
        /// Where it is.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The key file holds no key.
    #[error(
        "master key file {path} {state}: put the right one back from your backup, or give the key in \
         QUEQIAO_MASTER_KEY; if nothing was ever stored under it, delete the file, and the next start \
         makes another"
    )]
    BadKeyFile {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        state: &'static str,
    },
    /// Others may read the key file.
    #[error(
        "master key file {path} can be read by others (mode {mode:o}): run chmod 600 {path}; if others \
         may have read it, give every account a new AppSecret, Token and EncodingAESKey"
    )]
    LaxKeyFile {
        /// Where it is.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The value was sealed under another master key, or altered.
    #[error(
        "a stored secret does not open under this master key: was it sealed under another one?"
    )]
    DoesNotOpen,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

/// HMAC-SHA256.
fn mac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // A key shorter than the block is padded with zeros (RFC 2104).
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(text);
    mac.finalize().into_bytes().into()
}

impl Vault {
    /// The key given by the operator, or else the key file in the data directory, which is made
    /// at the first start with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// If the given key is malformed, or the file cannot be read or made.
    pub fn open(given: Option<&SecretString>, data_dir: &Path) -> Result<Self, VaultError> {
        match given {
            Some(key) => Self::from_base64(key.expose_secret()),
            None => Self::from_file(&Self::key_file(data_dir)),
        }
    }

    /// A key of its own for a throw-away installation.
    pub fn random() -> Self {
        Self::from_bytes(&rand::random())
    }

    fn from_bytes(key: &[u8; 32]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            fingerprint_key: mac(key, b"fingerprints"),
        }
    }

    fn from_base64(text: &str) -> Result<Self, VaultError> {
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|_| VaultError::BadKey)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| VaultError::BadKey)?;
        Ok(Self::from_bytes(&key))
    }

    fn from_file(path: &Path) -> Result<Self, VaultError> {
        let text = file::read_or_make(path, || STANDARD.encode(rand::random::<[u8; 32]>()))?;
        Self::from_base64(&text).map_err(|_| VaultError::BadKeyFile {
            path: path.display().to_string(),
            state: match text.trim().is_empty() {
                true => "is empty",
                false => "does not hold 32 bytes in base64",
            },
        })
    }

    /// Where the key file of a data directory is.
    pub fn key_file(data_dir: &Path) -> PathBuf {
        data_dir.join(KEY_FILE)
    }

    /// By what a text is known again that may not be kept: hex, the same for the same place and text
    /// under this master key.
    pub fn fingerprint(&self, place: &str, text: &str) -> String {
        let key = mac(&self.fingerprint_key, place.as_bytes());
        let digest = mac(&key, text.as_bytes());
        let (short, _) = digest.split_at(FINGERPRINT_BYTES);
        hex::encode(short)
    }

    /// Seals a secret for one place, for example `accounts/wx0123456789abcdef/secret`.
    ///
    /// # Errors
    /// If the secret is too large for the cipher (256 GiB).
    pub fn seal(&self, place: &str, secret: &str) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| VaultError::DoesNotOpen)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`Vault::seal`] made for the same place.
    ///
    /// # Errors
    /// If it was sealed under another key or for another place, or was altered.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Result<SecretString, VaultError> {
        let (nonce, ciphertext) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(VaultError::DoesNotOpen)?;
        let payload = Payload {
            msg: ciphertext,
            aad: place.as_bytes(),
        };
        let bytes = self
            .cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| VaultError::DoesNotOpen)?;
        String::from_utf8(bytes)
            .map(SecretString::from)
            .map_err(|_| VaultError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_opens_only_under_its_key_and_at_its_place() {
        let vault = Vault::random();
        let sealed = vault.seal("accounts/a/secret", "s3cret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        let opened = vault.unseal("accounts/a/secret", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "s3cret");
        assert!(vault.unseal("accounts/b/secret", &sealed).is_err());
        assert!(
            Vault::random()
                .unseal("accounts/a/secret", &sealed)
                .is_err()
        );
        assert!(vault.unseal("accounts/a/secret", b"short").is_err());
        let mut altered = sealed;
        *altered.last_mut().unwrap() ^= 1;
        assert!(vault.unseal("accounts/a/secret", &altered).is_err());
    }

    #[test]
    fn a_fingerprint_depends_on_the_text_its_place_and_the_key() {
        let vault = Vault::random();
        let print = vault.fingerprint("openids/1", "oA");
        assert_eq!(print.len(), 32);
        assert_eq!(vault.clone().fingerprint("openids/1", "oA"), print);
        for other in [
            vault.fingerprint("openids/1", "oB"),
            vault.fingerprint("openids/2", "oA"),
            Vault::random().fingerprint("openids/1", "oA"),
        ] {
            assert_ne!(other, print);
        }
        // RFC 4231, test case 1, with its key padded to the length of ours.
        let mut key = [0; 32];
        key.iter_mut().take(20).for_each(|byte| *byte = 0x0b);
        let digest = mac(&key, b"Hi There");
        assert!(hex::encode(digest).starts_with("b0344c61d8db3853"));
    }

    #[cfg(unix)]
    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = std::env::temp_dir().join(format!("queqiao-vault-{:x}", rand::random::<u64>()));
        fs::create_dir_all(&dir).unwrap();
        let first = Vault::open(None, &dir).unwrap();
        let sealed = first.seal("p", "x").unwrap();
        let again = Vault::open(None, &dir).unwrap();
        assert_eq!(again.unseal("p", &sealed).unwrap().expose_secret(), "x");
        let mode = fs::metadata(dir.join(KEY_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_given_key_must_be_32_bytes_of_base64() {
        let short = SecretString::from("c2hvcnQ=");
        assert!(matches!(
            Vault::open(Some(&short), Path::new("/nonexistent")),
            Err(VaultError::BadKey)
        ));
    }
}
