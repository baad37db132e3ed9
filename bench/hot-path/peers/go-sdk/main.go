// The peer on the Go SDK: the same job and configuration text as ../rust/src/lib.rs.
package main

import (
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

const slots = 1024

type table struct {
	names []string
	slot  [slots]uint8
	phase uint32
}

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{tables: map[string]*table{}} }

type plugin struct {
	types.DefaultPluginContext
	fixed   string
	session bool
	tables  map[string]*table
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "service" && words[1] == "fixed":
			p.fixed = words[2]
		case words[0] == "session":
			p.session = words[1] == "on"
		case words[0] == "table":
			t := &table{}
			at := 0
			for target, word := range words[2:] {
				name, count, _ := strings.Cut(word, ":")
				n, err := strconv.Atoi(count)
				if err != nil {
					return types.OnPluginStartStatusFailed
				}
				t.names = append(t.names, name)
				for ; n > 0; n-- {
					t.slot[at*633%slots] = uint8(target)
					at++
				}
			}
			p.tables[words[1]] = t
		}
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &steer{plugin: p} }

type steer struct {
	types.DefaultHttpContext
	plugin *plugin
}

func (s *steer) OnHttpRequestHeaders(int, bool) types.Action {
	p := s.plugin
	service := p.fixed
	if service == "" {
		service, _ = proxywasm.GetHttpRequestHeader("x-service")
	}
	t := p.tables[service]
	if t == nil {
		return types.ActionContinue
	}
	slot := t.phase % slots
	key := ""
	if p.session {
		if cookie, err := proxywasm.GetHttpRequestHeader("cookie"); err == nil {
			key = sessionOf(cookie)
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
	if err := proxywasm.ReplaceHttpRequestHeader("x-ballast-target", t.names[t.slot[slot]]); err != nil {
		proxywasm.LogCritical(err.Error())
	}
	return types.ActionContinue
}

func sessionOf(cookie string) string {
	for part := range strings.SplitSeq(cookie, ";") {
		if after, ok := strings.CutPrefix(strings.TrimLeft(part, " "), "sid="); ok {
			return after
		}
	}
	return ""
}
