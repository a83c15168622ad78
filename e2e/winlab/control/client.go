// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client drives an emulator in another process.
type Client struct {
	// URL of the operations, e.g. http://127.0.0.1:47254.
	URL string
}

// Call carries out an operation. Argument and answer may be nil.
func (c Client) Call(ctx context.Context, operation string, argument, answer any) error {
	body, err := json.Marshal(argument)
	if err != nil {
		return fmt.Errorf("%s: argument: %w", operation, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/"+operation, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read to its end
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: answer: %w", operation, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", operation, strings.TrimSpace(string(text)))
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: answer: %w", operation, err)
	}
	return nil
}
