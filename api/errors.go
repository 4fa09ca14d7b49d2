package api

import (
	"fmt"
	"net/http"
)

// CodeMethodNotAllowed is the code of a known path with another method.
const CodeMethodNotAllowed = "method_not_allowed" // 405

// Errorf returns an Error with the code, its HTTP status and a message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: StatusOf(code)}
}

// StatusOf returns the HTTP status that goes with a code of Error; 500 for one
// that is not known.
func StatusOf(code string) int {
	switch code {
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeForbidden:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case CodeAmbiguous, CodeConflict:
		return http.StatusConflict
	case CodeTooMany:
		return http.StatusTooManyRequests
	case CodeNotReady:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// VersionHeader is the header of each answer that says the daemon's version.
const VersionHeader = "Recorder-Version"
