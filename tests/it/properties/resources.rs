//! Resource URLs, and the URLs of their metadata.

use clerk_mcp_tools::ResourceUrl;
use clerk_mcp_tools::metadata::{
    PROTECTED_RESOURCE_WELL_KNOWN, protected_resource_metadata_url, well_known_paths,
};
use proptest::prelude::*;

use super::{config, resource_url};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_url_is_kept_byte_for_byte(text in resource_url()) {
        let resource = ResourceUrl::parse(&text).unwrap();
        prop_assert_eq!(resource.as_str(), text.as_str());
        prop_assert_eq!(resource.to_string(), text.clone());
        let parts = [resource.origin(), resource.path(), resource.query()].concat();
        prop_assert_eq!(&parts, &text);
        prop_assert!(resource.matches(&text));
    }

    #[test]
    fn only_the_case_of_the_host_and_the_default_port_are_ignored(text in resource_url()) {
        let resource = ResourceUrl::parse(&text).unwrap();
        let after_origin = &text[resource.origin().len()..];
        let same = [
            resource.origin().to_uppercase() + after_origin,
            resource.origin().to_owned() + ":443" + after_origin,
        ];
        let with_port = resource.authority().contains(':');
        for same in same.iter().take(if with_port { 1 } else { 2 }) {
            prop_assert!(resource.matches(same), "{same}");
        }
        for other in [format!("{text}x"), text.replacen("https", "http", 1), format!("{text}#")] {
            prop_assert!(!resource.matches(&other), "{other}");
        }
    }

    #[test]
    fn matching_is_symmetric(a in resource_url(), b in resource_url()) {
        let (one, other) = (ResourceUrl::parse(&a).unwrap(), ResourceUrl::parse(&b).unwrap());
        prop_assert_eq!(one.matches(&b), other.matches(&a));
    }

    /// RFC 9728 section 3.1, in both directions.
    #[test]
    fn the_resource_can_be_recovered_from_its_metadata_url(text in resource_url()) {
        let resource = ResourceUrl::parse(&text).unwrap();
        let url = protected_resource_metadata_url(&resource);
        let rest = url.strip_prefix(&format!("{}{WELL_KNOWN}", resource.origin())).unwrap();
        let root = if resource.path() == "/" { "/" } else { "" };
        let path = rest.strip_suffix(resource.query()).unwrap();
        prop_assert_eq!(format!("{}{path}{root}{}", resource.origin(), resource.query()), text);

        let paths = well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource);
        prop_assert!(paths.contains(&format!("{WELL_KNOWN}{path}")), "{paths:?}");
        prop_assert!(paths.contains(&WELL_KNOWN.to_owned()), "{paths:?}");
    }

    #[test]
    fn any_string_is_parsed_without_a_panic(text in ".{0,48}") {
        if let Ok(resource) = ResourceUrl::parse(&text) {
            prop_assert_eq!(resource.as_str(), text);
        }
    }
}
