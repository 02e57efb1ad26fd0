//! Configuration errors do not repeat the rejected value, which may be a misplaced secret.

use clerk_mcp_tools::bearer_auth::ResourcesByHost;
use clerk_mcp_tools::{ClerkVerifier, ResourceUrl, Scopes, SecretKey};

use super::secret_finder::SecretFinder;
use crate::support::{Fixture, RESOURCE};

const VARIABLES: [&str; 9] = [
    "CLERK_PUBLISHABLE_KEY",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
    "CLERK_FAPI",
    "CLERK_SECRET_KEY",
    "CLERK_JWT_KEY",
    "CLERK_API_URL",
    "CLERK_API_VERSION",
    "MCP_RESOURCE_URL",
    "MCP_AUDIENCE",
];

#[tokio::test]
async fn errors_do_not_repeat_the_rejected_value() {
    let fixture = Fixture::new().await;
    let key = "sk_live_MarkedSecretKey0123456789";
    let jwt = fixture.jwt();
    let values = [
        key.to_owned(),
        format!("\"{key}\""),
        format!("Bearer {key}"),
        format!("{key}\n"),
        format!("https://{key}@api.clerk.com"),
        format!("https://user:{key}@api.clerk.com/v1"),
        format!("https://hooks.example.com/services/{key}#"),
        format!("https://clerk.example.com/{key}"),
        format!("https://clerk.example.com?access_token={key}"),
        format!("http://clerk.example.com?access_token={key}"),
        format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n"),
        jwt.clone(),
    ];
    let mut finder = SecretFinder::default();
    finder.add("the secret key", key);
    finder.add_token("a JWT", &jwt);

    for variable in VARIABLES {
        for value in &values {
            let good = [("CLERK_FAPI", "https://clerk.example.com"), ("CLERK_SECRET_KEY", key)];
            let var = |name: &str| {
                let known = good
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned());
                if name == variable { Some(value.clone()) } else { known }
            };
            let text = match ClerkVerifier::builder().env_from(var).build() {
                Ok(verifier) if verifier.resource().is_some() => format!("{:?}", verifier.client()),
                Ok(verifier) => format!("{verifier:?} {verifier:#?}"),
                Err(error) => format!("{error} {error:?} {error:#?}"),
            };
            finder.assert_hidden(variable, &text);
        }
    }
    // A valid resource URL is public.
    for value in values.iter().filter(|value| ResourceUrl::parse(value).is_err()) {
        let errors = [
            SecretKey::parse(value).err(),
            ResourcesByHost::new([RESOURCE, value]).err(),
            ResourceUrl::parse(value).err(),
        ];
        finder.assert_hidden("a constructor's error", &format!("{errors:?}"));
    }
    finder.assert_hidden("scopes", &format!("{:?}", Scopes::parse(&format!("profile \"{key}\""))));
}
