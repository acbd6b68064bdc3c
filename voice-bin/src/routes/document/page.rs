//! The document as a page for people: no script, nothing from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;
use utoipa::openapi::OpenApi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color:#1c1c1c;background:#fff}h2{margin-top:2.5rem}code,pre{font:14px/1.4 ui-monospace,monospace}\
    pre{background:#f4f4f4;padding:.75rem;overflow-x:auto}summary{cursor:pointer;padding:.25rem 0}\
    .m{display:inline-block;min-width:4.5rem;font-weight:700}table{border-collapse:collapse}\
    td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}\
    @media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#181818}pre{background:#242424}a{color:#8ab4f8}}";

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The whole page.
pub(super) fn of(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let (title, about) = (text(&document["info"]["title"]), text(&document["info"]["description"]));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><h1>{title} {}</h1><p>{about}</p>\
         <p>For machines: <a href=\"/openapi.json\">/openapi.json</a></p><h2>Routes</h2>",
        text(&document["info"]["version"]),
    );
    for (path, item) in object(&document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                route(&mut page, method, path, operation);
            }
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in object(&document["components"]["schemas"]) {
        let name = escaped(name);
        let schema = escaped(&serde_json::to_string_pretty(schema).unwrap_or_default());
        put(
            &mut page,
            format_args!(
                "<details id=\"{name}\"><summary><code>{name}</code></summary><pre>{schema}</pre></details>"
            ),
        );
    }
    page.push_str("</html>\n");
    page
}

fn route(page: &mut String, method: &str, path: &str, operation: &Value) {
    put(
        page,
        format_args!(
            "<details><summary><code><span class=\"m\">{}</span>{}</code> {}</summary><p>{}</p>",
            method.to_uppercase(),
            escaped(path),
            text(&operation["summary"]),
            text(&operation["description"]),
        ),
    );
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>parameter<th>in<th>");
        for one in parameters {
            let (name, place, about) = (text(&one["name"]), text(&one["in"]), text(&one["description"]));
            put(page, format_args!("<tr><td><code>{name}</code><td>{place}<td>{about}"));
        }
        page.push_str("</table>");
    }
    for (kind, content) in object(&operation["requestBody"]["content"]) {
        put(page, format_args!("<p>Body, {}: {}</p>", escaped(kind), form(&content["schema"])));
    }
    page.push_str("<table><tr><th>answer<th><th>form");
    for (status, answer) in object(&operation["responses"]) {
        let forms: Vec<String> =
            object(&answer["content"]).map(|(_, content)| form(&content["schema"])).collect();
        let (status, about) = (escaped(status), text(&answer["description"]));
        put(page, format_args!("<tr><td>{status}<td>{about}<td>{}", forms.join(", ")));
    }
    page.push_str("</table></details>");
}

/// A link to a schema of its own, or the schema.
fn form(schema: &Value) -> String {
    let is_name = |value: &Value| Some(value["$ref"].as_str()?.rsplit('/').next()?.to_owned());
    let named = is_name(schema).or_else(|| schema["oneOf"].as_array()?.iter().find_map(is_name));
    match named {
        Some(name) => format!("<a href=\"#{0}\"><code>{0}</code></a>", escaped(&name)),
        None => format!("<code>{}</code>", escaped(&schema.to_string())),
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = page.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_document_says_is_text_and_nothing_else() {
        let mut document = super::super::beginning();
        document.info.title = "<script>\"&".to_owned();
        let page = of(&document);
        assert!(page.contains("<h1>&lt;script&gt;&quot;&amp;") && !page.contains("<script>"));
        assert!(page.contains("<details id=\"Problem\">"));
    }
}
