"""The engine behind HTTP: a queue, a documented JSON API, and the page over it (docs/SERVE.md).

`app.make_app` joins the parts: `limits` (every bound), `guard` (what is refused before a request is
read, and while it is), `wishes` (what is asked for), `jobs` (the queue and its results),
`painting` (the engine at work on a wish), `schema` (what the API says of itself), `protocol`
(connections that neither send nor read). Needs the extra `serve`.
"""
