//! What a browser is told before a page of another origin may call.

use super::*;

const PAGE: &str = "https://app.example";

async fn allowed(served: &Served, origin: &str) -> [Option<String>; 2] {
    let url = format!("http://{}", served.gateway.address());
    let http = reqwest::Client::new();
    let header = |answer: &reqwest::Response| {
        let value = answer.headers().get("access-control-allow-origin")?;
        Some(value.to_str().expect("text").to_owned())
    };
    let preflight = http
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let preflight = preflight.send().await.expect("an answer");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"getNetwork","params":[]}"#;
    let call = http.post(&url).header("origin", origin).header("content-type", "application/json");
    let call = call.body(body).send().await.expect("an answer");
    let headers = [header(&preflight), header(&call)];
    // The server answers in any case: it is the browser that withholds the answer from the page.
    assert!(call.text().await.expect("a body").contains("deploymentId"));
    headers
}

fn setup(origins: &[&str]) -> Setup {
    let list: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let origins = Origins::try_from(list).expect("origins");
    let limits = Limits { calls_per_second: 0, origins, ..Limits::default() };
    Setup { limits, ..Setup::default() }
}

#[test]
fn only_pages_of_listed_origins_may_call() {
    let some = |text: &str| [Some(text.to_owned()), Some(text.to_owned())];
    served(setup(&[]), async move |_, served| {
        assert_eq!(allowed(&served, PAGE).await, [None, None]);
    });
    served(setup(&[PAGE]), async move |_, served| {
        assert_eq!(allowed(&served, PAGE).await, some(PAGE));
        assert_eq!(allowed(&served, "https://evil.example").await, [None, None]);
    });
    served(setup(&["*"]), async move |_, served| {
        assert_eq!(allowed(&served, "https://any.example").await, some("*"));
    });
}
