//! Encryption of secrets at rest, bound to a key and to one place in the store.
//!
//! The store calls it for every secret it writes and reads. A sealed text names its key by the key's [id](KeyId), so
//! that several keys can be in use during a rotation. It is bound to its [`SealContext`]: a text moved to another row
//! or column does not open. Randomness is passed in, as the nonce.
//!
//! The cipher is XChaCha20-Poly1305. Its 24-byte nonces may be drawn at random by any number of nodes without a
//! message counter. The cipher is fast and constant-time without special processor instructions.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};

/// Prefix of a sealed text. Any other text is plain.
const PREFIX: &str = "enc:v1:";
/// Prefix of the hash input for a key id, so that the hash has no other meaning.
const ID_CONTEXT: &[u8] = b"hookstream encryption key\n";
/// Maximum number of keys: a current one, and those of unfinished rotations.
const KEYS_MAX: usize = 16;
/// Base64 with or without `=` at the end.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Length of a nonce in bytes; each nonce must be drawn at random.
pub const NONCE_BYTES: usize = 24;

/// Key of 32 random bytes. It has no `Display`, and its `Debug` shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultKey {
    bytes: [u8; 32],
    id: KeyId,
}

/// Id of a key: the first 8 bytes of a hash of the key, as 16 hexadecimal characters. It reveals nothing about the
/// key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// Place in the store that a sealed text belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealContext {
    /// Name of table and column.
    pub column: &'static str,
    /// Identity of the row within its table.
    pub row: Vec<u8>,
}

/// Keys of an installation: the current one seals and opens, earlier ones only open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    current: VaultKey,
    earlier: Vec<VaultKey>,
}

/// Error in the text of keys. The message does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// The text contains no key.
    #[error("contains no key; create one with `openssl rand -hex 32`")]
    None,
    /// The text contains more keys than allowed.
    #[error("contains more than {KEYS_MAX} keys; remove those that encrypt nothing any more")]
    TooMany,
    /// A key has an invalid form; the value is its position, counted from 1.
    #[error("is invalid: key {0} is not 32 bytes as 64 hexadecimal characters or as base64; create one with `openssl rand -hex 32`")]
    Form(usize),
}

/// Reason why a sealed text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// The key with this id was not given.
    #[error("it is encrypted with the key {0}, which was not given")]
    NoKey(KeyId),
    /// The text was changed, truncated, or moved from another place.
    #[error("the value was changed, or copied from another place")]
    Damaged,
}

impl VaultKey {
    /// Builds a key from its bytes, which must be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let hash: [u8; 32] = Sha256::new().chain_update(ID_CONTEXT).chain_update(bytes).finalize().into();
        Self { bytes, id: KeyId(std::array::from_fn(|index| hash[index])) }
    }

    /// Id of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The key as text, for the key file.
    pub fn expose(&self) -> String {
        hex(&self.bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = if text.len() == 64 { unhex(text)? } else { BASE64.decode(text).ok()? };
        bytes.try_into().ok().map(Self::from_bytes)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKey({})", self.id())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl KeyId {
    /// Parses 16 hexadecimal characters.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).filter(|_| text.bytes().all(|byte| !byte.is_ascii_uppercase()))?.try_into().ok().map(Self)
    }
}

impl Keys {
    /// Builds the set; the first key is the current one. Returns `None` if there are no keys. Of duplicates, the
    /// first counts.
    pub fn new(keys: impl IntoIterator<Item = VaultKey>) -> Option<Self> {
        let mut keys = keys.into_iter();
        let current = keys.next()?;
        let mut earlier = Vec::new();
        for key in keys {
            if key != current && !earlier.contains(&key) {
                earlier.push(key);
            }
        }
        Some(Self { current, earlier })
    }

    /// Adds `others` as keys that only open.
    #[must_use]
    pub fn and(self, others: impl IntoIterator<Item = VaultKey>) -> Self {
        let all = std::iter::once(self.current.clone()).chain(self.earlier).chain(others);
        Self::new(all).unwrap_or(Self { current: self.current, earlier: Vec::new() })
    }

    /// Returns all keys, the current one first.
    pub fn into_all(self) -> impl Iterator<Item = VaultKey> {
        std::iter::once(self.current).chain(self.earlier)
    }

    /// Key that seals.
    pub const fn current(&self) -> &VaultKey {
        &self.current
    }

    /// Returns the key with this id.
    pub fn find(&self, id: KeyId) -> Option<&VaultKey> {
        std::iter::once(&self.current).chain(&self.earlier).find(|key| key.id() == id)
    }

    /// Seals a text for its place with the current key. The nonce must be random and never reused.
    pub fn seal(&self, place: &SealContext, text: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let payload = Payload { msg: text.as_bytes(), aad: &place.bytes() };
        let sealed = self.current.cipher().encrypt(&nonce.into(), payload).expect("a text is shorter than 256 GiB");
        format!("{PREFIX}{}:{}", self.current.id(), STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a text that was sealed for this place. A text without the prefix is plain, and returned unchanged.
    ///
    /// # Errors
    /// If its key is missing, or the text was not sealed for this place.
    pub fn open(&self, place: &SealContext, text: &str) -> Result<String, Unopened> {
        let Some(sealed) = text.strip_prefix(PREFIX) else { return Ok(text.to_owned()) };
        let (id, sealed) = sealed.split_once(':').ok_or(Unopened::Damaged)?;
        let id = KeyId::parse(id).ok_or(Unopened::Damaged)?;
        let key = self.find(id).ok_or(Unopened::NoKey(id))?;
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| Unopened::Damaged)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unopened::Damaged)?;
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        let plain = key.cipher().decrypt(&(*nonce).into(), payload).map_err(|_| Unopened::Damaged)?;
        String::from_utf8(plain).map_err(|_| Unopened::Damaged)
    }

    /// Returns true if a text is sealed with the current key.
    pub fn is_current(&self, text: &str) -> bool {
        sealed_under(text) == Some(self.current.id())
    }
}

/// Returns true if a text has the form of a sealed one.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Returns the id of the key that a text is sealed with; `None` for a plain text.
fn sealed_under(text: &str) -> Option<KeyId> {
    KeyId::parse(text.strip_prefix(PREFIX)?.split_once(':')?.0)
}

impl FromStr for Keys {
    type Err = InvalidKeys;

    /// Parses keys separated by commas, spaces or lines. A line that begins with `#` is a comment.
    fn from_str(text: &str) -> Result<Self, InvalidKeys> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let parts = lines.flat_map(|line| line.split([',', ' ', '\t'])).map(str::trim).filter(|part| !part.is_empty());
        let keys = parts.enumerate().map(|(index, part)| VaultKey::parse(part).ok_or(InvalidKeys::Form(index + 1)));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.len() > KEYS_MAX {
            return Err(InvalidKeys::TooMany);
        }
        Self::new(keys).ok_or(InvalidKeys::None)
    }
}

impl SealContext {
    /// Associated data of the cipher. A column's name contains no zero byte, so the encoding is unambiguous.
    fn bytes(&self) -> Vec<u8> {
        [self.column.as_bytes(), &[0], &self.row].concat()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    fn key(byte: u8) -> VaultKey {
        VaultKey::from_bytes([byte; 32])
    }

    fn keys(bytes: &[u8]) -> Keys {
        Keys::new(bytes.iter().copied().map(key)).expect("at least one")
    }

    fn place(row: u8) -> SealContext {
        SealContext { column: "endpoints.secret", row: vec![row; 16] }
    }

    #[test]
    fn sealed_text_opens_in_its_place_and_reveals_nothing() {
        let sealed = keys(&[1]).seal(&place(1), "whsec_marked", NONCE);
        assert!(sealed.starts_with(&format!("enc:v1:{}:", key(1).id())), "{sealed}");
        assert!(!sealed.contains("whsec") && !sealed.contains("marked"));
        assert_eq!(keys(&[1]).open(&place(1), &sealed), Ok("whsec_marked".to_owned()));
        assert_ne!(keys(&[1]).seal(&place(1), "whsec_marked", [8; NONCE_BYTES]), sealed);
    }

    #[test]
    fn cipher_matches_the_draft_test_vector() {
        // Associated data and text of draft-irtf-cfrg-xchacha-03, A.3.1, with its key and nonce.
        let key = std::array::from_fn(|index| 0x80 + u8::try_from(index).expect("below 32"));
        let nonce: [u8; NONCE_BYTES] = std::array::from_fn(|index| 0x40 + u8::try_from(index).expect("below 24"));
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let sealed = VaultKey::from_bytes(key).cipher().encrypt(&nonce.into(), Payload { msg: text, aad: &aad }).expect("sealed");
        assert_eq!(hex(&sealed[..16]), "bd6d179d3e83d43b9576579493c0e939");
        assert_eq!(hex(&sealed[text.len()..]), "c0875924c1c7987947deafd8780acf49");
    }

    #[test]
    fn moved_text_does_not_open() {
        let sealed = keys(&[1]).seal(&place(1), "text", NONCE);
        let elsewhere =
            [place(2), SealContext { column: "endpoints.previous_secrets", ..place(1) }, SealContext { row: vec![1; 15], ..place(1) }];
        for other in elsewhere {
            assert_eq!(keys(&[1]).open(&other, &sealed), Err(Unopened::Damaged), "{other:?}");
        }
    }

    #[test]
    fn missing_key_is_named() {
        let sealed = keys(&[1]).seal(&place(1), "text", NONCE);
        assert_eq!(keys(&[2, 3]).open(&place(1), &sealed), Err(Unopened::NoKey(key(1).id())));
        assert_eq!(keys(&[2, 1]).open(&place(1), &sealed), Ok("text".to_owned()));
        assert!(keys(&[1, 2]).is_current(&sealed) && !keys(&[2, 1]).is_current(&sealed));
        assert!(!keys(&[1]).is_current("text"));
        // With another key's id it does not open either.
        let renamed = sealed.replace(&key(1).id().to_string(), &key(2).id().to_string());
        assert_eq!(keys(&[2]).open(&place(1), &renamed), Err(Unopened::Damaged));
    }

    #[test]
    fn plain_text_is_returned_unchanged() {
        for plain in ["", "whsec_x", "{\"a\":1}", "enc:v1", "enc:v2:x"] {
            assert_eq!(keys(&[1]).open(&place(1), plain), Ok(plain.to_owned()));
            assert!(!is_sealed(plain));
        }
    }

    #[test]
    fn truncated_or_changed_text_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(&place(1), "a secret", NONCE);
        for end in PREFIX.len()..sealed.len() {
            assert!(keys.open(&place(1), &sealed[..end]).is_err(), "cut at {end}");
        }
        for at in PREFIX.len()..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(keys.open(&place(1), &changed).is_err(), "changed at {at}");
        }
        assert!(keys.open(&place(1), &format!("{sealed}A")).is_err());
        assert!(keys.open(&place(1), &format!("{sealed}=")).is_err());
    }

    #[test]
    fn keys_parse_in_all_forms_and_the_first_is_current() {
        let (one, two) = ("01".repeat(32), "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI");
        for text in [format!("{one},{two}="), format!("# from the vault\n{one}\n\n{two}\n"), format!(" {one} {two}=,{one}")] {
            assert_eq!(text.parse::<Keys>(), Ok(keys(&[1, 2])), "{text}");
        }
        assert_eq!(one.to_uppercase().parse::<Keys>(), "01".repeat(32).parse());
        let check = |text: &str, expected| assert_eq!(text.parse::<Keys>(), Err(expected), "{text}");
        check("", InvalidKeys::None);
        check("# nothing\n", InvalidKeys::None);
        check("secret", InvalidKeys::Form(1));
        check(&format!("{one},{}", &one[..62]), InvalidKeys::Form(2));
        check(&"zz".repeat(32), InvalidKeys::Form(1));
        check(&vec![one.as_str(); 17].join(","), InvalidKeys::TooMany);
    }

    #[test]
    fn debug_of_a_key_shows_its_id_only() {
        let shown = format!("{:?}", keys(&[1]));
        assert!(shown.contains(&key(1).id().to_string()) && !shown.contains("0101") && !shown.contains("1, 1"), "{shown}");
        assert_eq!(KeyId::parse(&key(1).id().to_string()), Some(key(1).id()));
        assert_eq!(KeyId::parse("0102"), None);
    }

    proptest! {
        #[test]
        fn every_text_round_trips(text in ".*", row in any::<Vec<u8>>(), nonce in any::<[u8; NONCE_BYTES]>()) {
            let place = SealContext { column: "idempotency_keys.body", row };
            let sealed = keys(&[1]).seal(&place, &text, nonce);
            prop_assert_eq!(keys(&[2, 1]).open(&place, &sealed), Ok(text));
        }

        #[test]
        fn invalid_sealed_text_is_an_error(text in "enc:v1:.*") {
            prop_assert!(keys(&[1]).open(&place(1), &text).is_err());
        }
    }
}
