// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"unicode/utf16"
)

const (
	hivePage    = 4096
	hiveNone    = 0xffffffff // no such cell
	keyAccess   = 0xf003f    // KEY_ALL_ACCESS
	keyRoot     = 0x2c       // the root of a hive, not to be deleted, its name in ASCII
	filetime    = 0x01d9cd5e_0d4a8000
	hiveCells   = 32 // where cells begin in a bin
	hiveVersion = 3  // minor version, that of hives that RegSaveKey writes since Windows NT 4
)

// hive returns a registry hive that has nothing but its root key. Windows reads the five hives of a base layer when it unpacks an
// image, and since Server 2025 refuses empty files in their place. The format has no document of Microsoft's; a public one is
// https://github.com/msuhanov/regf/blob/master/Windows%20registry%20file%20format%20specification.md.
func hive(name string) []byte {
	key := make([]byte, 76, 76+len(name))
	put16(key, 2, keyRoot)
	put64(key, 4, filetime)
	for _, offset := range []int{28, 32, 40, 48} { // no subkeys, values and class
		put32(key, offset, hiveNone)
	}
	copy(key, "nk")
	put16(key, 72, len(name))
	key = append(key, name...)
	keyCell := cell(key)
	put32(keyCell, 4+44, uint32(hiveCells+len(keyCell))) // its security

	descriptor := securityDescriptor()
	security := make([]byte, 20, 20+len(descriptor))
	copy(security, "sk")
	put32(security, 4, uint32(hiveCells+len(keyCell))) // a list of one: next and previous are itself
	put32(security, 8, uint32(hiveCells+len(keyCell)))
	put32(security, 12, 1)
	put32(security, 16, uint32(len(descriptor)))
	cells := append(keyCell, cell(append(security, descriptor...))...)

	bin := make([]byte, hivePage)
	copy(bin, "hbin")
	put32(bin, 8, hivePage)
	put64(bin, 20, filetime)
	free := hiveCells + copy(bin[hiveCells:], cells)
	put32(bin, free, uint32(hivePage-free)) // positive: not in use
	return append(hiveHeader(name), bin...)
}

func hiveHeader(name string) []byte {
	header := make([]byte, hivePage)
	copy(header, "regf")
	put32(header, 4, 1) // both sequence numbers are equal: written whole
	put32(header, 8, 1)
	put64(header, 12, filetime)
	put32(header, 20, 1)
	put32(header, 24, hiveVersion)
	put32(header, 32, 1)
	put32(header, 36, hiveCells)
	put32(header, 40, hivePage)
	put32(header, 44, 1)
	for i, unit := range utf16.Encode([]rune(name)) {
		put16(header, 48+2*i, int(unit))
	}
	put32(header, 508, hiveChecksum(header))
	return header
}

// hiveChecksum is that of the first 508 bytes. 0 and -1 stand for something else.
func hiveChecksum(header []byte) uint32 {
	var sum uint32
	for offset := 0; offset < 508; offset += 4 {
		sum ^= binary.LittleEndian.Uint32(header[offset:])
	}
	switch sum {
	case 0:
		return 1
	case 0xffffffff:
		return 0xfffffffe
	}
	return sum
}

// cell is a cell in use, whose size counts itself, is negative and a multiple of 8.
func cell(content []byte) []byte {
	size := (4 + len(content) + 7) / 8 * 8
	out := make([]byte, size)
	put32(out, 0, uint32(-size))
	copy(out[4:], content)
	return out
}

// securityDescriptor lets LocalSystem and administrators do everything, and belongs to the latter.
func securityDescriptor() []byte {
	system := []byte{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0}
	administrators := []byte{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0}
	list := make([]byte, 8)
	list[0] = 2 // revision
	for _, account := range [][]byte{system, administrators} {
		entry := []byte{0, 2, byte(8 + len(account)), 0, 0, 0, 0, 0} // allow, subkeys too
		put32(entry, 4, keyAccess)
		list = append(append(list, entry...), account...)
	}
	put16(list, 2, len(list))
	put16(list, 4, 2)

	out := make([]byte, 20)
	out[0] = 1
	put16(out, 2, 0x8004) // in one piece, with an access list
	put32(out, 4, 20)
	put32(out, 8, uint32(20+len(administrators)))
	put32(out, 16, uint32(20+len(administrators)+len(system)))
	out = append(append(out, administrators...), system...)
	return append(out, list...)
}

func put16(b []byte, offset, v int)        { binary.LittleEndian.PutUint16(b[offset:], uint16(v)) }
func put32(b []byte, offset int, v uint32) { binary.LittleEndian.PutUint32(b[offset:], v) }
func put64(b []byte, offset int, v uint64) { binary.LittleEndian.PutUint64(b[offset:], v) }
