//! The client's half of SCRAM (RFC 5802, RFC 7677), without its messages' transport: what to say, what to make of what is
//! said, and whether the server knew the password too. Names and passwords are taken as they are, as Kafka takes them: no
//! SASLprep.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};

/// Fewer make a stolen exchange cheap to try passwords on; Kafka's brokers and clients take no fewer either
/// (`ScramMechanism.minIterations`).
const LEAST_ITERATIONS: u32 = 4_096;
/// A server decides how long its client computes: 100 ms or so at this, six times what Kafka's tools take at most.
const MOST_ITERATIONS: u32 = 100_000;
const NONCE_BYTES: usize = 18;
/// `n,,`: no channel binding, and no other identity than the name's own.
const HEADER: &str = "n,,";

/// A hash that SCRAM is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn salted(self, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Hash::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN),
            Hash::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, digest::SHA512_OUTPUT_LEN),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
        salted
    }

    fn key(self, bytes: &[u8]) -> hmac::Key {
        match self {
            Hash::Sha256 => hmac::Key::new(hmac::HMAC_SHA256, bytes),
            Hash::Sha512 => hmac::Key::new(hmac::HMAC_SHA512, bytes),
        }
    }

    fn digest(self, bytes: &[u8]) -> digest::Digest {
        match self {
            Hash::Sha256 => digest::digest(&digest::SHA256, bytes),
            Hash::Sha512 => digest::digest(&digest::SHA512, bytes),
        }
    }
}

/// An exchange that has begun.
pub(super) struct Exchange {
    hash: Hash,
    nonce: String,
    /// The first message without its header.
    bare: String,
}

/// What the server's last message must be.
pub(super) struct Proven {
    key: hmac::Key,
    messages: String,
}

impl Exchange {
    /// With a new nonce; `None` if the system has no random numbers.
    pub(super) fn new(hash: Hash, username: &str) -> Option<Self> {
        let mut random = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut random).ok()?;
        Some(Self::with_nonce(hash, username, STANDARD.encode(random)))
    }

    fn with_nonce(hash: Hash, username: &str, nonce: String) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        Self { hash, bare: format!("n={name},r={nonce}"), nonce }
    }

    /// The first message.
    pub(super) fn first(&self) -> Vec<u8> {
        format!("{HEADER}{}", self.bare).into_bytes()
    }

    /// The answer to the server's first message, and what its last one must be. It takes its time: thousands of hashes.
    pub(super) fn last(&self, said: &[u8], password: &[u8]) -> Result<(Vec<u8>, Proven), String> {
        let said = std::str::from_utf8(said).map_err(|_| "its first SCRAM message is no text".to_owned())?;
        let mut parts = said.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
        // "m=" comes first, and is an extension that must be understood.
        let (Some(nonce), Some(salt), Some(iterations)) = (part("r"), part("s"), part("i")) else {
            return Err("its first SCRAM message is not one".to_owned());
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("its SCRAM message answers another's".to_owned());
        }
        let salt = STANDARD.decode(salt).map_err(|_| "its SCRAM salt is not base64".to_owned())?;
        let iterations = iterations.parse().ok().and_then(NonZeroU32::new);
        let iterations = iterations
            .filter(|count| (LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&count.get()))
            .ok_or_else(|| {
                format!("it asks for SCRAM with a number of iterations that is not {LEAST_ITERATIONS} to {MOST_ITERATIONS}")
            })?;
        let salted = self.hash.key(&self.hash.salted(password, &salt, iterations));
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let messages = format!("{},{said},{without_proof}", self.bare);
        let signature = hmac::sign(&self.hash.key(stored_key.as_ref()), messages.as_bytes());
        let proof = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign);
        let proof = STANDARD.encode(proof.collect::<Vec<u8>>());
        let server_key = hmac::sign(&salted, b"Server Key");
        let proven = Proven { key: self.hash.key(server_key.as_ref()), messages };
        Ok((format!("{without_proof},p={proof}").into_bytes(), proven))
    }
}

impl Proven {
    /// Whether the server's last message proves that it knows the password as well.
    pub(super) fn by(&self, said: &[u8]) -> Result<(), String> {
        let said = String::from_utf8_lossy(said);
        let first = said.split(',').next().unwrap_or_default();
        if let Some(why) = first.strip_prefix("e=") {
            return Err(format!("it says {why:.200}"));
        }
        let signature = first.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok());
        let is_right =
            |signature: Vec<u8>| hmac::verify(&self.key, self.messages.as_bytes(), &signature).is_ok();
        if signature.is_some_and(is_right) {
            Ok(())
        } else {
            Err("it does not prove that it knows the password: it is not the server it should be".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const PROOF: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn exchange() -> Exchange {
        Exchange::with_nonce(Hash::Sha256, "user", NONCE.to_owned())
    }

    #[test]
    fn the_rfcs_example() {
        let exchange = exchange();
        assert_eq!(exchange.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (last, proven) = exchange.last(FIRST.as_bytes(), b"pencil").unwrap();
        assert_eq!(String::from_utf8(last).unwrap(), LAST);
        assert_eq!(proven.by(PROOF), Ok(()));
        let wrong = proven.by(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=");
        assert!(wrong.unwrap_err().contains("does not prove"));
        assert!(proven.by(b"").is_err());
        assert!(proven.by(b"e=invalid-proof").unwrap_err().contains("invalid-proof"));
    }

    #[test]
    fn names_are_escaped_and_nonces_are_new() {
        let one = Exchange::new(Hash::Sha512, "a,b=c").unwrap();
        assert!(one.first().starts_with(b"n,,n=a=2Cb=3Dc,r="));
        assert_ne!(one.nonce, Exchange::new(Hash::Sha512, "a").unwrap().nonce);
    }

    /// Not taken: another's nonce, our own alone, too few or too many iterations, an extension that must be understood.
    #[test]
    fn what_a_server_may_not_say() {
        for said in [
            "",
            "e=other-error",
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOmore,s=!,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOmore,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOmore,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100001",
            "r=rOprNGfwEbeRWgbNEkqOmore,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
            "m=what,r=rOprNGfwEbeRWgbNEkqOmore,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ] {
            assert!(exchange().last(said.as_bytes(), b"pencil").is_err(), "{said}");
        }
        assert!(exchange().last(b"\xff", b"pencil").is_err());
    }
}
