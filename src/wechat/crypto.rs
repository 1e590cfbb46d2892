//! The encryption of secure mode: AES-256-CBC with a 32-byte PKCS#7 padding (WeChat guide, message push, encryption).
//!
//! The clear layout is 16 random bytes, a big-endian 32-bit length, the message, and the id of the receiver.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The length of an EncodingAESKey as WeChat's console shows it.
pub const ENCODED_KEY_LENGTH: usize = 43;

const RANDOM_LENGTH: usize = 16;
const HEADER_LENGTH: usize = RANDOM_LENGTH + 4;
const AES_BLOCK: usize = 16;
const PADDING_BLOCK: usize = 32;

/// 43 characters carry two bits more than the key; most real keys have them set, so they must be let through.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key of secure mode. Its first half is also the initialisation vector.
#[derive(Clone)]
pub struct AesKey([u8; 32]);

/// Why a text is no EncodingAESKey. Names positions and lengths, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AesKeyError {
    /// Not 43 characters.
    #[error(
        "an EncodingAESKey has 43 characters, this one has {0}: copy it again from WeChat's console"
    )]
    Length(usize),
    /// A character outside the base64 alphabet; counted from 1.
    #[error(
        "an EncodingAESKey has only letters and digits, but character {0} is neither: copy it again from WeChat's console"
    )]
    Character(usize),
}

/// Why an encrypted message does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecryptError {
    /// The text is not base64.
    #[error("the encrypted text is not base64")]
    Base64,
    /// Empty, or not a whole number of AES blocks.
    #[error("the encrypted data has {0} bytes, which is not a whole number of blocks")]
    Length(usize),
    /// The padding is not what the key would have produced: mostly a wrong AES key.
    #[error("the padding is wrong (the AES key is probably not this account's)")]
    Padding,
    /// The inner length field points beyond the data.
    #[error(
        "the inner length field does not fit the data (the AES key is probably not this account's)"
    )]
    InnerLength,
    /// It was encrypted for another app.
    #[error("the message was encrypted for another app id")]
    AppId,
}

impl AesKey {
    /// Reads an EncodingAESKey: 43 characters, no matter what the two surplus bits of the last one say.
    pub fn parse(encoded: &str) -> Result<Self, AesKeyError> {
        let wrong = |c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '/');
        let length = encoded.chars().count();
        if length != ENCODED_KEY_LENGTH {
            return Err(AesKeyError::Length(length));
        }
        if let Some(position) = encoded.chars().position(wrong) {
            return Err(AesKeyError::Character(position + 1));
        }
        let bytes = BASE64.decode(encoded).unwrap_or_default();
        <[u8; 32]>::try_from(bytes)
            .map(Self)
            .map_err(|bytes| AesKeyError::Length(bytes.len()))
    }

    fn iv(&self) -> [u8; AES_BLOCK] {
        let mut iv = [0; AES_BLOCK];
        for (to, from) in iv.iter_mut().zip(self.0) {
            *to = from;
        }
        iv
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(redacted)")
    }
}

/// Encrypts `message` for `app_id` into base64, behind 16 random lower-case hexadecimal characters as WeChat does.
pub fn encrypt(key: &AesKey, app_id: &str, message: &[u8]) -> String {
    let mut random = [0; RANDOM_LENGTH];
    for (pair, byte) in random.chunks_exact_mut(2).zip(rand::random::<[u8; 8]>()) {
        let digits =
            [byte >> 4, byte & 0x0f].map(|d| if d < 10 { b'0' + d } else { b'a' + d - 10 });
        pair.copy_from_slice(&digits);
    }
    encrypt_with_random(key, app_id, message, &random)
}

/// [`encrypt`] with the random part given: the same input gives the same text.
///
/// A message beyond 4 GiB cannot be expressed in the format; its length field saturates and it will not open.
pub fn encrypt_with_random(
    key: &AesKey,
    app_id: &str,
    message: &[u8],
    random: &[u8; 16],
) -> String {
    let clear = HEADER_LENGTH + message.len() + app_id.len();
    let padding = PADDING_BLOCK - clear % PADDING_BLOCK;
    let mut data = Vec::with_capacity(clear + padding);
    data.extend_from_slice(random);
    data.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    data.extend_from_slice(message);
    data.extend_from_slice(app_id.as_bytes());
    data.resize(clear + padding, u8::try_from(padding).unwrap_or(0));

    let length = data.len();
    let cipher = cbc::Encryptor::<Aes256>::new(&key.0.into(), &key.iv().into());
    match cipher.encrypt_padded::<NoPadding>(&mut data, length) {
        Ok(encrypted) => BASE64.encode(encrypted),
        Err(_) => String::new(),
    }
}

/// Opens `encrypted_base64` and returns the message, if it was encrypted with `key` for `app_id`.
pub fn decrypt(
    key: &AesKey,
    app_id: &str,
    encrypted_base64: &str,
) -> Result<Vec<u8>, DecryptError> {
    let mut data = BASE64
        .decode(encrypted_base64.trim_ascii())
        .map_err(|_| DecryptError::Base64)?;
    if data.is_empty() {
        return Err(DecryptError::Length(0));
    }
    let length = data.len();
    cbc::Decryptor::<Aes256>::new(&key.0.into(), &key.iv().into())
        .decrypt_padded::<NoPadding>(&mut data)
        .map_err(|_| DecryptError::Length(length))?;

    let clear = strip_padding(&data)?;
    let (header, rest) = clear
        .split_at_checked(HEADER_LENGTH)
        .ok_or(DecryptError::InnerLength)?;
    let message_length = header
        .last_chunk::<4>()
        .and_then(|field| usize::try_from(u32::from_be_bytes(*field)).ok())
        .ok_or(DecryptError::InnerLength)?;
    let (_, receiver) = rest
        .split_at_checked(message_length)
        .ok_or(DecryptError::InnerLength)?;
    if !bool::from(receiver.ct_eq(app_id.as_bytes())) {
        return Err(DecryptError::AppId);
    }
    data.truncate(HEADER_LENGTH + message_length);
    data.drain(..HEADER_LENGTH);
    Ok(data)
}

/// PKCS#7 in blocks of 32, not of 16 as AES libraries do it: pads of 17 to 32 bytes are as frequent as the others.
fn strip_padding(data: &[u8]) -> Result<&[u8], DecryptError> {
    let last = data.last().copied().ok_or(DecryptError::Padding)?;
    let padding = usize::from(last);
    if padding == 0 || padding > PADDING_BLOCK || padding > data.len() {
        return Err(DecryptError::Padding);
    }
    let (clear, pad) = data.split_at(data.len() - padding);
    if pad.iter().all(|byte| *byte == last) {
        Ok(clear)
    } else {
        Err(DecryptError::Padding)
    }
}

#[cfg(test)]
mod tests;
