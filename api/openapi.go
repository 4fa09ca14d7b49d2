package api

import _ "embed"

// OpenAPI is openapi.yaml, the description of the HTTP API.
//
//go:embed openapi.yaml
var OpenAPI []byte
