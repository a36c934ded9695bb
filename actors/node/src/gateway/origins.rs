//! Which web pages may call the RPC from a browser: the answer to a browser's cross-origin question (CORS).
//!
//! It protects users of browsers from foreign pages, not the node: programs ask no such question, and neither do
//! browsers before a WebSocket. Nothing here knows its callers, so a page gains no right by being listed.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

/// How long a browser may remember the answer.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most origins in a list.
const LISTED_MAX: usize = 256;

/// Origins that may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub enum Origins {
    /// None: only programs and pages of the RPC's own origin.
    #[default]
    Nobody,
    /// These, each written as browsers send it.
    Only(Vec<String>),
    /// All.
    Everybody,
}

/// A list of origins that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigins {
    /// An entry is no origin.
    #[error(
        "{0:?} is no origin: write scheme://host or scheme://host:port and nothing behind it, or \"*\" alone"
    )]
    NotAnOrigin(String),
    /// The list is too long.
    #[error("more than {LISTED_MAX} origins: use \"*\" alone, or a reverse proxy that decides")]
    TooMany,
}

impl TryFrom<Vec<String>> for Origins {
    type Error = BadOrigins;

    fn try_from(list: Vec<String>) -> Result<Origins, BadOrigins> {
        match list.as_slice() {
            [] => return Ok(Origins::Nobody),
            [all] if all == "*" => return Ok(Origins::Everybody),
            list if list.len() > LISTED_MAX => return Err(BadOrigins::TooMany),
            _ => {}
        }
        let origins = list.into_iter().map(|text| {
            // A slash or capital letters would never be equal to what a browser sends.
            let parsed = Url::parse(&text).map(|url| url.origin().ascii_serialization());
            let exact = parsed.is_ok_and(|origin| origin == text);
            if exact { Ok(text) } else { Err(BadOrigins::NotAnOrigin(text)) }
        });
        Ok(Origins::Only(origins.collect::<Result<_, _>>()?))
    }
}

impl Origins {
    /// What answers the browsers.
    pub(super) fn layer(&self) -> CorsLayer {
        // Which methods and headers there are is the server's business, and no credentials exist that could leak.
        let layer = CorsLayer::new()
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
            .max_age(REMEMBERED);
        match self {
            Origins::Nobody => CorsLayer::new(),
            Origins::Only(list) => {
                let list = list.clone();
                layer.allow_origin(AllowOrigin::predicate(move |origin, _| {
                    list.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
                }))
            }
            Origins::Everybody => layer.allow_origin(AllowOrigin::any()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &[&str]) -> Result<Origins, BadOrigins> {
        Origins::try_from(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        assert_eq!(origins(&[]), Ok(Origins::Nobody));
        assert_eq!(origins(&["*"]), Ok(Origins::Everybody));
        let two = ["https://app.example", "http://localhost:5173"];
        assert_eq!(origins(&two), Ok(Origins::Only(two.map(str::to_owned).into())));
        let bad = ["https://app.example/", "https://App.example", "https://a:443", "a", "", "null"];
        for text in bad {
            assert_eq!(origins(&[text]), Err(BadOrigins::NotAnOrigin(text.into())));
        }
        assert_eq!(origins(&["*", two[0]]), Err(BadOrigins::NotAnOrigin("*".into())));
        assert_eq!(origins(&["x"; LISTED_MAX + 1]), Err(BadOrigins::TooMany));
    }
}
