//! The requests, and what each may be answered.

use clerk_mcp_tools::testing::{FakeClerk, TokenBuilder};

use crate::phases::Excuses;
use crate::setup::RESOURCE;

const KNOWN: usize = 16;
/// More than are known at a time.
const FRESH_JWTS: usize = 1_000;
const FRESH_OPAQUE: usize = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    KnownJwt,
    FreshJwt,
    KnownOpaque,
    FreshOpaque,
    NoToken,
    Garbage,
    Expired,
    BadSignature,
    UnknownKey,
    WrongAudience,
    FewScopes,
    Revoked,
    UnknownOpaque,
    ResourceMetadata,
    ServerMetadata,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::KnownJwt,
        Self::FreshJwt,
        Self::KnownOpaque,
        Self::FreshOpaque,
        Self::NoToken,
        Self::Garbage,
        Self::Expired,
        Self::BadSignature,
        Self::UnknownKey,
        Self::WrongAudience,
        Self::FewScopes,
        Self::Revoked,
        Self::UnknownOpaque,
        Self::ResourceMetadata,
        Self::ServerMetadata,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KnownJwt => "a JWT of few, so mostly known",
            Self::FreshJwt => "a JWT of many, so mostly seen for the first time",
            Self::KnownOpaque => "an opaque token of few",
            Self::FreshOpaque => "an opaque token of many",
            Self::NoToken => "no token",
            Self::Garbage => "garbage",
            Self::Expired => "an expired JWT",
            Self::BadSignature => "a JWT with a bad signature",
            Self::UnknownKey => "a JWT of an unknown key",
            Self::WrongAudience => "a JWT for another server",
            Self::FewScopes => "a JWT without the scope",
            Self::Revoked => "a revoked opaque token",
            Self::UnknownOpaque => "an opaque token that is none",
            Self::ResourceMetadata => "the protected resource's metadata",
            Self::ServerMetadata => "the authorization server's metadata",
        }
    }

    /// Whether Clerk has to be asked, once or now and then.
    pub(crate) fn asks_clerk(self) -> bool {
        matches!(
            self,
            Self::KnownOpaque
                | Self::FreshOpaque
                | Self::Revoked
                | Self::UnknownOpaque
                | Self::UnknownKey
                | Self::BadSignature
        )
    }

    fn right_status(self) -> u16 {
        match self {
            Self::KnownJwt | Self::FreshJwt | Self::KnownOpaque | Self::FreshOpaque => 200,
            Self::ResourceMetadata | Self::ServerMetadata => 200,
            Self::FewScopes => 403,
            _ => 401,
        }
    }

    /// Whether the answer may have this status under these circumstances.
    pub(crate) fn may_be(self, status: u16, excuses: Excuses) -> bool {
        match status {
            // The verdict on a bad signature stands without newer keys.
            503 => self.asks_clerk() && self != Self::BadSignature && excuses.outage,
            500 => {
                self.asks_clerk()
                    && self != Self::BadSignature
                    && self != Self::UnknownKey
                    && excuses.key_refused
            }
            status => status == self.right_status(),
        }
    }
}

/// A request, and what has to stand in the body of a 200.
pub(crate) struct Ask<'a> {
    pub(crate) request: Vec<u8>,
    pub(crate) body: &'a str,
}

/// A token, and whose it is.
struct Token {
    text: String,
    user: String,
}

/// Tokens to make requests with, all of them made beforehand.
pub(crate) struct Requests {
    known_jwts: Vec<Token>,
    fresh_jwts: Vec<Token>,
    known_opaque: Vec<Token>,
    fresh_opaque: Vec<Token>,
    expired: String,
    foreign: String,
    wrong_audience: String,
    few_scopes: String,
    revoked: Vec<Token>,
    issuer: String,
}

impl Requests {
    pub(crate) fn new(clerk: &FakeClerk) -> Self {
        let mint = |user: &str| clerk.mint().audience(RESOURCE).subject(user);
        let tokens = |name: &str, count: usize, made: fn(TokenBuilder) -> String| -> Vec<Token> {
            let users = (0..count).map(|n| format!("user_{name}_{n}"));
            users.map(|user| Token { text: made(mint(&user)), user }).collect()
        };
        Self {
            known_jwts: tokens("known", KNOWN, TokenBuilder::jwt),
            fresh_jwts: tokens("fresh", FRESH_JWTS, TokenBuilder::jwt),
            known_opaque: tokens("known_opaque", KNOWN, TokenBuilder::opaque),
            fresh_opaque: tokens("fresh_opaque", FRESH_OPAQUE, TokenBuilder::opaque),
            expired: mint("user_expired").expires_at(1_700_000_000).jwt(),
            foreign: mint("user_foreign").foreign_key().jwt(),
            wrong_audience: mint("user_elsewhere").audience("https://other.example.com/mcp").jwt(),
            few_scopes: mint("user_narrow").scopes(["email"]).jwt(),
            revoked: tokens("revoked", FRESH_OPAQUE, |token| token.revoked(true).opaque()),
            issuer: clerk.issuer().to_owned(),
        }
    }

    pub(crate) fn ask(&self, kind: Kind, random: &mut Random) -> Ask<'_> {
        match kind {
            Kind::KnownJwt => with(random.one(&self.known_jwts)),
            Kind::FreshJwt => with(random.one(&self.fresh_jwts)),
            Kind::KnownOpaque => with(random.one(&self.known_opaque)),
            Kind::FreshOpaque => with(random.one(&self.fresh_opaque)),
            Kind::Revoked => with(random.one(&self.revoked)),
            Kind::NoToken => ask("POST /mcp", ""),
            Kind::Garbage => bearer(&self.garbage(random)),
            Kind::Expired => bearer(&self.expired),
            Kind::BadSignature if random.next().is_multiple_of(2) => bearer(&self.foreign),
            Kind::BadSignature => bearer(&changed(&random.one(&self.fresh_jwts).text, random)),
            Kind::WrongAudience => bearer(&self.wrong_audience),
            Kind::FewScopes => bearer(&self.few_scopes),
            Kind::UnknownKey => bearer(&self.of_unknown_key(random)),
            Kind::UnknownOpaque => {
                bearer(&format!("oat_{:016x}{:016x}", random.next(), random.next()))
            }
            Kind::ResourceMetadata => {
                Ask { body: RESOURCE, ..ask("GET /.well-known/oauth-protected-resource/mcp", "") }
            }
            Kind::ServerMetadata => {
                Ask { body: &self.issuer, ..ask("GET /.well-known/oauth-authorization-server", "") }
            }
        }
    }

    /// What is no token, or was one.
    fn garbage(&self, random: &mut Random) -> String {
        let good = &random.one(&self.fresh_jwts).text;
        let length = usize::try_from(random.next() % 6_000).unwrap() + 1;
        match random.next() % 7 {
            0 => "A".repeat(length),
            1 => format!("{}.{}.{}", "e".repeat(length), "30", "x"),
            // Without a signature, be it a bad one.
            2 => good[..length % good.rfind('.').unwrap()].to_owned(),
            3 => format!("{good} {good}"),
            4 => format!("{good}."),
            5 => format!("oat_{}!", random.next()),
            _ => format!("mt_{}", random.next()),
        }
    }

    /// A good token but for the header, which names a key of a random id.
    fn of_unknown_key(&self, random: &mut Random) -> String {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"ins_{}"}}"#, random.next());
        let (_, rest) = random.one(&self.fresh_jwts).text.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    }
}

/// The same with another character somewhere in the signature, but not at its end, where bits may be left over.
fn changed(token: &str, random: &mut Random) -> String {
    let signature = token.rfind('.').unwrap() + 1;
    let place = signature
        + usize::try_from(random.next()).unwrap_or_default() % (token.len() - signature - 2);
    let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..place], &token[place + 1..])
}

fn with(token: &Token) -> Ask<'_> {
    Ask { body: &token.user, ..bearer(&token.text) }
}

fn bearer(token: &str) -> Ask<'static> {
    ask("POST /mcp", &format!("authorization: Bearer {token}\r\n"))
}

fn ask(line: &str, headers: &str) -> Ask<'static> {
    let request =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: 0\r\n\r\n");
    Ask { request: request.into_bytes(), body: "" }
}

/// Numbers that are the same in each run (xorshift).
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

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }
}
