//! The kinds of requests, and the responses that each may get.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::clock::Clock;
use clerk_mcp_tools::testing::{FakeClerk, TokenBuilder};

use crate::changing_key::ChangingKey;
use crate::fast_clock::FastClock;
use crate::phases::Tolerated;
use crate::support::fixture::RESOURCE;

/// Few enough to stay in the cache.
const CACHED: usize = 16;
/// More than the cache holds.
const NEW_JWTS: usize = 1_000;
const NEW_OPAQUE: usize = 4_000;
/// So long before the keys are fetched that no newer key can have signed a token.
const EARLIER: u64 = 24 * 60 * 60;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    CachedJwt,
    NewJwt,
    NewestKey,
    CachedOpaque,
    NewOpaque,
    NoToken,
    Garbage,
    Expired,
    InvalidSignature,
    UnknownKey,
    LateForgery,
    WrongAudience,
    MissingScope,
    Revoked,
    UnknownOpaque,
    ResourceMetadata,
    ServerMetadata,
}

impl Kind {
    pub(crate) const ALL: [Self; 17] = [
        Self::CachedJwt,
        Self::NewJwt,
        Self::NewestKey,
        Self::CachedOpaque,
        Self::NewOpaque,
        Self::NoToken,
        Self::Garbage,
        Self::Expired,
        Self::InvalidSignature,
        Self::UnknownKey,
        Self::LateForgery,
        Self::WrongAudience,
        Self::MissingScope,
        Self::Revoked,
        Self::UnknownOpaque,
        Self::ResourceMetadata,
        Self::ServerMetadata,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CachedJwt => "a JWT, mostly cached",
            Self::NewJwt => "a JWT, mostly new",
            Self::NewestKey => "a JWT of the newest key",
            Self::CachedOpaque => "an opaque token, mostly cached",
            Self::NewOpaque => "an opaque token, mostly new",
            Self::NoToken => "no token",
            Self::Garbage => "garbage",
            Self::Expired => "an expired JWT",
            Self::InvalidSignature => "a JWT with an invalid signature",
            Self::UnknownKey => "a JWT with an unknown key id",
            Self::LateForgery => "a forged JWT, issued now",
            Self::WrongAudience => "a JWT for another server",
            Self::MissingScope => "a JWT without the required scope",
            Self::Revoked => "a revoked opaque token",
            Self::UnknownOpaque => "an unknown opaque token",
            Self::ResourceMetadata => "the protected resource metadata",
            Self::ServerMetadata => "the authorization server metadata",
        }
    }

    /// Whether the request may cause a call to Clerk.
    pub(crate) fn calls_clerk(self) -> bool {
        matches!(
            self,
            Self::CachedOpaque
                | Self::NewOpaque
                | Self::Revoked
                | Self::UnknownOpaque
                | Self::NewestKey
                | Self::LateForgery
                | Self::UnknownKey
                | Self::InvalidSignature
        )
    }

    /// Whether that call has the secret key: one about an opaque token.
    fn sends_secret_key(self) -> bool {
        matches!(self, Self::CachedOpaque | Self::NewOpaque | Self::Revoked | Self::UnknownOpaque)
    }

    fn expected_status(self) -> u16 {
        match self {
            Self::CachedJwt | Self::NewJwt | Self::NewestKey => 200,
            Self::CachedOpaque | Self::NewOpaque => 200,
            Self::ResourceMetadata | Self::ServerMetadata => 200,
            Self::MissingScope => 403,
            _ => 401,
        }
    }

    /// Whether the response may have this status, given the tolerated errors.
    pub(crate) fn may_respond(self, status: u16, tolerated: Tolerated) -> bool {
        match status {
            // For all that is known, a newer key signed it.
            503 if self == Self::LateForgery => true,
            // These were issued before the keys were fetched, and so are invalid without newer ones.
            503 if matches!(self, Self::InvalidSignature | Self::UnknownKey) => false,
            503 => self.calls_clerk() && tolerated.outage,
            500 => self.sends_secret_key() && tolerated.key_rejected,
            status => status == self.expected_status(),
        }
    }
}

/// A request, and a string that the body of a 200 has to contain.
pub(crate) struct TestRequest<'a> {
    pub(crate) request: Vec<u8>,
    pub(crate) body: Cow<'a, str>,
}

/// A token, and the id of its user.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) user: String,
}

/// The tokens, all minted beforehand.
pub(crate) struct Requests {
    pub(crate) changing_key: ChangingKey,
    clock: FastClock,
    cached_jwts: Vec<Token>,
    new_jwts: Vec<Token>,
    cached_opaque: Vec<Token>,
    new_opaque: Vec<Token>,
    expired: String,
    invalid_signature: String,
    wrong_audience: String,
    missing_scope: String,
    revoked: Vec<Token>,
    issuer: String,
}

impl Requests {
    pub(crate) fn new(clerk: &FakeClerk, clock: FastClock) -> Self {
        let issued_at = clock.unix_time().as_secs() - EARLIER;
        let mint = |user: &str| clerk.mint().audience(RESOURCE).subject(user).issued_at(issued_at);
        let tokens = |name: &str, count: usize, finish: fn(TokenBuilder) -> String| -> Vec<Token> {
            let users = (0..count).map(|n| format!("user_{name}_{n}"));
            users.map(|user| Token { text: finish(mint(&user)), user }).collect()
        };
        Self {
            cached_jwts: tokens("cached", CACHED, TokenBuilder::jwt),
            new_jwts: tokens("new", NEW_JWTS, TokenBuilder::jwt),
            cached_opaque: tokens("cached_opaque", CACHED, TokenBuilder::opaque),
            new_opaque: tokens("new_opaque", NEW_OPAQUE, TokenBuilder::opaque),
            expired: mint("user_expired").expires_at(1_700_000_000).jwt(),
            invalid_signature: mint("user_foreign").foreign_key().jwt(),
            wrong_audience: mint("user_elsewhere").audience("https://other.example.com/mcp").jwt(),
            missing_scope: mint("user_narrow").scopes(["email"]).jwt(),
            revoked: tokens("revoked", NEW_OPAQUE, |token| token.revoked(true).opaque()),
            issuer: clerk.issuer().to_owned(),
            changing_key: ChangingKey::new(clerk),
            clock,
        }
    }

    pub(crate) fn request_for(&self, kind: Kind, random: &mut Random) -> TestRequest<'_> {
        match kind {
            Kind::CachedJwt => bearer_of(random.choose(&self.cached_jwts)),
            Kind::NewJwt => bearer_of(random.choose(&self.new_jwts)),
            Kind::NewestKey => {
                let tokens = self.changing_key.tokens();
                let Token { text, user } = random.choose(&tokens);
                TestRequest { body: user.clone().into(), ..bearer(text) }
            }
            Kind::CachedOpaque => bearer_of(random.choose(&self.cached_opaque)),
            Kind::NewOpaque => bearer_of(random.choose(&self.new_opaque)),
            Kind::Revoked => bearer_of(random.choose(&self.revoked)),
            Kind::NoToken => request_for("POST /mcp", ""),
            Kind::Garbage => bearer(&self.garbage(random)),
            Kind::Expired => bearer(&self.expired),
            Kind::InvalidSignature if random.next().is_multiple_of(2) => {
                bearer(&self.invalid_signature)
            }
            Kind::InvalidSignature => {
                bearer(&with_changed_signature(&random.choose(&self.new_jwts).text, random))
            }
            Kind::WrongAudience => bearer(&self.wrong_audience),
            Kind::MissingScope => bearer(&self.missing_scope),
            Kind::UnknownKey => bearer(&self.with_unknown_key(random)),
            Kind::LateForgery => bearer(&self.late_forgery(random)),
            Kind::UnknownOpaque => {
                bearer(&format!("oat_{:016x}{:016x}", random.next(), random.next()))
            }
            Kind::ResourceMetadata => TestRequest {
                body: RESOURCE.into(),
                ..request_for("GET /.well-known/oauth-protected-resource/mcp", "")
            },
            Kind::ServerMetadata => TestRequest {
                body: (&self.issuer).into(),
                ..request_for("GET /.well-known/oauth-authorization-server", "")
            },
        }
    }

    /// Strings that are not tokens, and damaged tokens.
    fn garbage(&self, random: &mut Random) -> String {
        let good = &random.choose(&self.new_jwts).text;
        let length = usize::try_from(random.next() % 6_000).unwrap() + 1;
        match random.next() % 7 {
            0 => "A".repeat(length),
            1 => format!("{}.{}.{}", "e".repeat(length), "30", "x"),
            // Cut before its signature.
            2 => good[..length % good.rfind('.').unwrap()].to_owned(),
            3 => format!("{good} {good}"),
            4 => format!("{good}."),
            5 => format!("oat_{}!", random.next()),
            _ => format!("mt_{}", random.next()),
        }
    }

    /// A valid token with another header, which has a random key id.
    fn with_unknown_key(&self, random: &mut Random) -> String {
        let (_, rest) = random.choose(&self.new_jwts).text.split_once('.').unwrap();
        format!("{}.{rest}", header(&format!("ins_{}", random.next())))
    }

    /// A token that says that it was issued now, with the id of the keys or an unknown one, and the
    /// signature of another token.
    fn late_forgery(&self, random: &mut Random) -> String {
        let key_id = match random.next() % 2 {
            0 => self.changing_key.key_id().to_owned(),
            _ => format!("ins_{}", random.next()),
        };
        let claims = format!(r#"{{"iat":{}}}"#, self.clock.unix_time().as_secs());
        let (_, signature) = random.choose(&self.new_jwts).text.rsplit_once('.').unwrap();
        format!("{}.{}.{signature}", header(&key_id), URL_SAFE_NO_PAD.encode(claims))
    }
}

fn header(key_id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{key_id}"}}"#))
}

/// Changes a character of the signature, but not the last one, which has unused bits.
fn with_changed_signature(token: &str, random: &mut Random) -> String {
    let signature = token.rfind('.').unwrap() + 1;
    let place = signature
        + usize::try_from(random.next()).unwrap_or_default() % (token.len() - signature - 2);
    let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}

fn bearer_of(token: &Token) -> TestRequest<'_> {
    TestRequest { body: (&token.user).into(), ..bearer(&token.text) }
}

fn bearer(token: &str) -> TestRequest<'static> {
    request_for("POST /mcp", &format!("authorization: Bearer {token}\r\n"))
}

fn request_for(line: &str, headers: &str) -> TestRequest<'static> {
    let request =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: 0\r\n\r\n");
    TestRequest { request: request.into_bytes(), body: "".into() }
}

/// A deterministic random number generator (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.next() % from.len() as u64).unwrap()]
    }
}
