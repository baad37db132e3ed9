// The peer as an ext_proc service: Envoy sends the request headers over one gRPC stream per request, the answer sets x-ballast-target.
// Configuration text as in ../rust/src/lib.rs, in the file given as the second argument; the first is the address.
package main

import (
	"log"
	"math"
	"net"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

const slots = 1024

type table struct {
	answers [][]byte // encoded ProcessingResponse per target
	slot    [slots]uint8
	phase   uint32 // one process on one core; a lost increment only repeats a slot
}

type config struct {
	fixed   string
	session bool
	tables  map[string]*table
}

func parse(text string) config {
	c := config{tables: map[string]*table{}}
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "service" && words[1] == "fixed":
			c.fixed = words[2]
		case words[0] == "session":
			c.session = words[1] == "on"
		case words[0] == "table":
			t := &table{}
			at := 0
			for target, word := range words[2:] {
				name, count, _ := strings.Cut(word, ":")
				n, err := strconv.Atoi(count)
				if err != nil {
					log.Fatal(err)
				}
				t.answers = append(t.answers, answer(name))
				for ; n > 0; n-- {
					t.slot[at*633%slots] = uint8(target)
					at++
				}
			}
			c.tables[words[1]] = t
		}
	}
	return c
}

func field(number int, payload []byte) []byte {
	return append([]byte{byte(number<<3 | 2), byte(len(payload))}, payload...) // every payload here is shorter than 128 bytes
}

// ProcessingResponse{request_headers{response{header_mutation{set_headers{header, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}, clear_route_cache}}}
func answer(target string) []byte {
	header := append(field(1, []byte("x-ballast-target")), field(3, []byte(target))...)
	option := append(field(1, header), 3<<3, 2)
	common := append(field(2, field(1, option)), 5<<3, 1)
	return field(1, field(1, common))
}

var pass = field(1, nil)

// next reads one protobuf field; only varints and length-delimited fields occur on the path to the headers.
func next(b []byte) (number int, value, rest []byte, ok bool) {
	tag, n := varint(b)
	if n == 0 {
		return 0, nil, nil, false
	}
	b = b[n:]
	v, n := varint(b)
	if n == 0 {
		return 0, nil, nil, false
	}
	b = b[n:]
	if tag&7 == 0 {
		return int(tag >> 3), nil, b, true
	}
	if tag&7 != 2 || v > uint64(len(b)) {
		return 0, nil, nil, false
	}
	return int(tag >> 3), b[:v], b[v:], true
}

func varint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 10 {
		v |= uint64(b[n]&0x7f) << (7 * n)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// headersOf finds request_headers(2).headers(1) in a ProcessingRequest and reads the two headers the pick needs.
func headersOf(b []byte) (service, cookie string) {
	number, value, rest, ok := next(b)
	for ; ok; number, value, rest, ok = next(rest) {
		if number != 2 {
			continue
		}
		_, headers, _, _ := next(value)
		for number, header, more, ok := next(headers); ok; number, header, more, ok = next(more) {
			if number != 1 {
				continue
			}
			var key, val []byte
			for number, part, left, ok := next(header); ok; number, part, left, ok = next(left) {
				if number == 1 {
					key = part
				} else {
					val = part
				}
			}
			switch string(key) {
			case "x-service":
				service = string(val)
			case "cookie":
				cookie = string(val)
			}
		}
	}
	return
}

func (c *config) pick(request []byte) []byte {
	service, cookie := headersOf(request)
	if c.fixed != "" {
		service = c.fixed
	}
	t := c.tables[service]
	if t == nil {
		return pass
	}
	slot := t.phase % slots
	key := ""
	if c.session {
		for part := range strings.SplitSeq(cookie, ";") {
			if after, ok := strings.CutPrefix(strings.TrimLeft(part, " "), "sid="); ok {
				key = after
				break
			}
		}
	}
	if key != "" {
		hash := uint64(0xcbf29ce484222325)
		for i := 0; i < len(key); i++ {
			hash = (hash ^ uint64(key[i])) * 0x100000001b3
		}
		slot = uint32(hash >> 54)
	} else {
		t.phase++
	}
	return t.answers[t.slot[slot]]
}

// raw passes message bytes through: the few fields that matter are read and written by hand.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
func (raw) Name() string { return "proto" }

func main() {
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	c := parse(string(text))
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			for {
				var request []byte
				if stream.RecvMsg(&request) != nil {
					return nil
				}
				reply := c.pick(request)
				if err := stream.SendMsg(&reply); err != nil {
					return err
				}
			}
		}))
	log.Fatal(server.Serve(listener))
}
