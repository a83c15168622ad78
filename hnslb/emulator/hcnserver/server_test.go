// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// encodeRequest makes the bytes of a request, as the DLL does.
func encodeRequest(r request, guid [16]byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, r.handle)
	b = append(b, guid[:]...)
	for _, s := range append([]string{r.function}, r.args[:]...) {
		if s == "" {
			b = appendText(b, nil)
		} else {
			b = appendText(b, &s)
		}
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// readReply reads the bytes of a reply, as the DLL does.
func readReply(r io.Reader) (reply, error) {
	var size uint32
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return reply{}, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return reply{}, err
	}
	p := reply{code: hnslb.HRESULT(binary.LittleEndian.Uint32(body)), handle: binary.LittleEndian.Uint64(body[4:])}
	rest := body[12:]
	for _, out := range []**string{&p.text, &p.record} {
		n := binary.LittleEndian.Uint32(rest)
		if rest = rest[4:]; n == noText {
			continue
		}
		s := decodeUTF16(rest[:n])
		*out, rest = &s, rest[n:]
	}
	if len(rest) != 0 {
		return reply{}, errors.New("the reply is too long")
	}
	return p, nil
}

// serve serves an emulator until the test ends, and returns how to connect to it.
func serve(t *testing.T, s *Server) func() net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// TestServe: calls come over several connections at once, texts in both directions may hold any character.
func TestServe(t *testing.T) {
	r := ws2025(t)
	if _, err := r.e.AddNetwork(emulator.NetworkSpec{Name: "Ünïcode 🙂"}); err != nil {
		t.Fatal(err)
	}
	dial := serve(t, r.s)
	var clients sync.WaitGroup
	for range 4 {
		conn := dial()
		clients.Go(func() {
			for range 50 {
				req := request{function: "HcnEnumerateNetworks", args: [3]string{filter("Name", "Ünïcode 🙂")}}
				if _, err := conn.Write(encodeRequest(req, [16]byte{})); err != nil {
					t.Error(err)
					return
				}
				if p, err := readReply(conn); err != nil || p.code != 0 || len(show(p.text)) != len(`[""]`)+36 {
					t.Errorf("reply %s: %v", show(p.text), err)
					return
				}
			}
		})
	}
	clients.Wait()
	if n := r.s.Calls()["HcnEnumerateNetworks"]; n != 200 {
		t.Errorf("%d calls, want 200", n)
	}
}

// TestServeEnds: the end of the server breaks off calls that hang.
func TestServeEnds(t *testing.T) {
	r := ws2025(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.s.Serve(ctx, l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.e.Hang(hnslb.VerbNetwork, -1)
	if _, err := conn.Write(encodeRequest(request{function: "HcnEnumerateNetworks"}, [16]byte{})); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if p, err := readReply(conn); err == nil && p.code != hnslb.ResultCallFailed {
		t.Errorf("the call that hung returned 0x%08x", uint32(p.code))
	}
	if err := r.s.Serve(t.Context(), l); err == nil {
		t.Error("Serve on a closed listener says nothing")
	}
}

// TestMalformedRequests: a client that does not speak the protocol loses its connection, and is counted.
func TestMalformedRequests(t *testing.T) {
	good := encodeRequest(request{function: "HcnEnumerateNetworks"}, [16]byte{})
	cut := func(n int, size uint32) []byte {
		b := bytes.Clone(good[:n])
		binary.LittleEndian.PutUint32(b, size)
		return b
	}
	long := append(bytes.Clone(good), 0)
	binary.LittleEndian.PutUint32(long, uint32(len(long)-4))
	odd := append(make([]byte, 4+24), 1, 0, 0, 0, 'f')
	for range textsOfRequest - 1 {
		odd = binary.LittleEndian.AppendUint32(odd, noText)
	}
	binary.LittleEndian.PutUint32(odd, uint32(len(odd)-4))
	for name, b := range map[string][]byte{
		"too large":           cut(4, maxRequest+1),
		"no header":           cut(4+8, 8),
		"no texts":            cut(4+24, 24),
		"a text that is cut":  cut(4+24+4+2, 24+4+2),
		"bytes too many":      long,
		"half a character":    odd,
		"a request over HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s := New(emulator.New(emulator.Config{}))
			conn := serve(t, s)()
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("the server answers %d bytes", n)
			}
			if n := s.Calls()[Malformed]; n != 1 {
				t.Errorf("%d malformed requests are counted, want 1", n)
			}
		})
	}
}

// TestGUID: the parameter's bytes are three little-endian numbers and eight bytes.
func TestGUID(t *testing.T) {
	b := [16]byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	req, err := readRequest(bufio.NewReader(bytes.NewReader(encodeRequest(request{function: "f", handle: 1 << 40}, b))))
	if want := hnslb.ID("00112233-4455-6677-8899-aabbccddeeff"); err != nil || req.id != want || req.handle != 1<<40 {
		t.Errorf("ID %s, handle %#x, error %v; want %s", req.id, req.handle, err, want)
	}
	for text, want := range map[string]bool{
		string(unknownID): true, strings.ToUpper("00112233-4455-6677-8899-aabbccddeeff"): true, "": false,
		"{0112233-4455-6677-8899-aabbccddeef}": false, "00112233-4455-6677-8899-aabbccddeefg": false,
		"001122334-455-6677-8899-aabbccddeeff": false, "00112233-4455-6677-8899-aabbccddeef-": false,
	} {
		if isGUID(text) != want {
			t.Errorf("isGUID(%q) is %v", text, !want)
		}
	}
}

// FuzzCall: whatever a client sends, it gets one well-formed reply: a record and nothing else on failure, valid JSON on success.
func FuzzCall(f *testing.F) {
	ids := []hnslb.ID{"", unknownID}
	f.Add("HcnCreateLoadBalancer", 0, uint64(0), balancer("10.96.0.1", unknownID), "", "")
	f.Add("HcnCreateEndpoint", 1, uint64(0x10), `{"IpConfigurations":[{"IpAddress":"10.244.1.7"}],"Policies":[{"Type":"ProviderAddress"}]}`, "", "")
	f.Add("HcnCreateNetwork", 0, uint64(0), `{"Name":"n","Ipams":[{"Subnets":[{"IpAddressPrefix":"::/0"}]}]}`, "", "")
	f.Add("HcnEnumerateEndpoints", 0, uint64(0), filter("ID", "x"), "", "")
	f.Add("HcnModifyNetwork", 0, uint64(0x10), `{"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[{}]}}`, "", "")
	f.Add("HNSCall", 0, uint64(0), "POST", "/policylists/", `{"References":["/"],"Policies":[{"Type":"ELB","VIPs":["::"]}]}`)
	f.Add("HNSCall", 0, uint64(0), "POST", "/endpoints/", `{"VirtualNetwork":"x","IPAddress":"1.2.3.4"}`)
	f.Fuzz(func(t *testing.T, function string, id int, handle uint64, a, b, c string) {
		r := ws2025(t)
		r.open(kindNetwork, r.network.ID) // 0x10
		r.open(kindEndpoint, r.remote("10.244.2.7"))
		p := r.s.call(t.Context(), request{
			function: function, handle: handle, id: ids[uint(id)%2], args: [3]string{a, b, c},
		})
		if failed := int32(p.code) < 0; failed && (p.text != nil || p.handle != 0) || !failed && p.record != nil {
			t.Errorf("code 0x%08x, text %s, record %s", uint32(p.code), show(p.text), show(p.record))
		}
		for _, s := range []*string{p.text, p.record} {
			if s != nil && !json.Valid([]byte(*s)) {
				t.Errorf("no JSON: %s", *s)
			}
		}
		again, err := readReply(bytes.NewReader(p.encode()))
		if err != nil || show(again.text) != string(utf16.Decode(utf16.Encode([]rune(show(p.text))))) {
			t.Errorf("the reply does not survive: %v", err)
		}
	})
}
