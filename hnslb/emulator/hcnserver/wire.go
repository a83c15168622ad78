// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	// maxRequest is far above the largest document, a load balancer of 1,024 endpoints.
	maxRequest = 16 << 20
	// noText is the size that stands for NULL.
	noText = 0xffffffff
	// textsOfRequest are the function's name and HNSCall's three arguments.
	textsOfRequest = 4
)

// request is one call into a DLL.
type request struct {
	function string
	handle   uint64
	id       hnslb.ID // "" for the zero GUID
	args     [textsOfRequest - 1]string
}

// reply is what the call returns.
type reply struct {
	code   hnslb.HRESULT
	handle uint64
	// text and record are nil for NULL.
	text, record *string
}

var errFrame = errors.New("hcnserver: malformed request")

// readRequest reads one request. It returns io.EOF at the end of the connection, and
// errFrame for what is no request.
func readRequest(r *bufio.Reader) (request, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return request{}, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxRequest {
		return request{}, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return request{}, err
	}
	return parseRequest(body)
}

func parseRequest(body []byte) (request, error) {
	if len(body) < 24 {
		return request{}, fmt.Errorf("%w: it ends in the header", errFrame)
	}
	req := request{handle: binary.LittleEndian.Uint64(body), id: guidOf([16]byte(body[8:24]))}
	rest := body[24:]
	var texts [textsOfRequest]string
	for i := range texts {
		if len(rest) < 4 {
			return request{}, fmt.Errorf("%w: it ends before text %d", errFrame, i)
		}
		n := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if n == noText {
			continue
		}
		if n%2 != 0 || uint64(n) > uint64(len(rest)) {
			return request{}, fmt.Errorf("%w: text %d has %d bytes", errFrame, i, n)
		}
		texts[i] = decodeUTF16(rest[:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return request{}, fmt.Errorf("%w: %d bytes too many", errFrame, len(rest))
	}
	req.function = texts[0]
	copy(req.args[:], texts[1:])
	return req, nil
}

// encode returns the reply with its size in front.
func (p reply) encode() []byte {
	b := make([]byte, 4, 64)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.code))
	b = binary.LittleEndian.AppendUint64(b, p.handle)
	b = appendText(b, p.text)
	b = appendText(b, p.record)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func appendText(b []byte, text *string) []byte {
	if text == nil {
		return binary.LittleEndian.AppendUint32(b, noText)
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	var units [2]uint16
	for _, r := range *text {
		for _, u := range utf16.AppendRune(units[:0], r) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

func decodeUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// guidOf prints a GUID as it lies in memory: three numbers, then eight bytes.
func guidOf(b [16]byte) hnslb.ID {
	if b == [16]byte{} {
		return ""
	}
	return hnslb.ID(fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b[:]),
		binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:]))
}

// isGUID tells whether a text has the form of a GUID, in either case and without braces
// [A: Conventions].
func isGUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
		if dash != (c == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
