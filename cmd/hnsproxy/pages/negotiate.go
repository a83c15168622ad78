// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Media types of /flagz and /statusz.
const (
	mediaJSON = "application/json"
	mediaYAML = "application/yaml"
	mediaText = "text/plain"
)

// group is the API group of Flagz and Statusz.
const group = "config.k8s.io"

// notAcceptable is what a client is told that asks for anything else.
const notAcceptable = "only the following media types are accepted: " + mediaJSON + ", " + mediaYAML + ", " + mediaText

// zpage is a page that is a text for people, and an object of the API for programs that ask
// for one by "application/json;as=KIND;g=config.k8s.io;v=v1beta1".
type zpage struct {
	// name is "flagz" or "statusz", kind that of the object.
	name, kind string
	// text is all of the text, object the object but for its kind and name.
	text   func() string
	object func(h objectHeader) any
}

// objectHeader is how an object of the API begins.
type objectHeader struct {
	Kind       string     `json:"kind"`
	APIVersion string     `json:"apiVersion"`
	Metadata   objectName `json:"metadata"`
}

type objectName struct {
	Name string `json:"name"`
}

// choice is what a client takes.
type choice struct {
	media string
	// as is the kind of object, nil for none.
	as     *schema.GroupVersionKind
	pretty bool
}

// offer says what of the media types may be asked for.
type offer struct {
	// allows takes a media type, as a kind of object or, with nil, as none.
	allows func(media string, as *schema.GroupVersionKind) bool
	// streams takes JSON as a stream, which nobody gets.
	streams bool
}

// choose finds the first clause of an Accept header that is offered.
func (o offer) choose(accept string) (choice, bool) {
	for _, clause := range goautoneg.ParseAccept(accept) {
		for _, media := range []string{mediaJSON, mediaYAML, mediaText} {
			if !covers(clause, media) {
				continue
			}
			c := choice{media: media}
			for name, value := range clause.Params {
				c.take(name, value)
			}
			if o.takes(clause.Params, media) && o.allows(media, c.as) {
				return c, true
			}
		}
	}
	return choice{}, false
}

// covers tells whether a clause means a media type.
func covers(clause goautoneg.Accept, media string) bool {
	kind, sub, _ := strings.Cut(media, "/")
	switch clause.Type {
	case "*":
		return clause.SubType == "*"
	case kind:
		return clause.SubType == sub || clause.SubType == "*"
	}
	return false
}

// takes tells whether the parameters have none of those by which API servers do more.
func (o offer) takes(params map[string]string, media string) bool {
	stream := params["stream"]
	return params["sv"] == "" && (stream == "" || o.streams && stream == "watch" && media == mediaJSON)
}

// take takes a parameter in.
func (c *choice) take(name, value string) {
	if c.as == nil && (name == "as" || name == "g" || name == "v") {
		c.as = &schema.GroupVersionKind{}
	}
	switch name {
	case "as":
		c.as.Kind = value
	case "g":
		c.as.Group = value
	case "v":
		c.as.Version = value
	case "pretty":
		c.pretty = value == "1"
	}
}

// ServeHTTP answers with the text or the object.
func (z *zpage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	accept := r.Header.Get("Accept")
	c, ok := choice{media: mediaText}, true
	if strings.TrimSpace(accept) != "" {
		c, ok = offer{allows: z.allows}.choose(accept)
	}
	switch {
	case !ok:
		refuse(w, r)
	case c.media == mediaText:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(z.text()))
	default:
		if c.as.Version == deprecatedVersion {
			w.Header().Set("Warning", `299 - "This version of the `+z.name+` endpoint is deprecated. Please use a newer version."`)
		}
		header := objectHeader{z.kind, c.as.GroupVersion().String(), objectName{component}}
		w.Header().Set("Content-Type", c.media+";g="+c.as.Group+";v="+c.as.Version+";as="+c.as.Kind)
		c.pretty = c.pretty || forPeople(r)
		c.write(w, http.StatusOK, z.object(header))
	}
}

// deprecatedVersion is answered with a warning.
const deprecatedVersion = "v1alpha1"

func (z *zpage) allows(media string, as *schema.GroupVersionKind) bool {
	if media == mediaText || as == nil {
		return media == mediaText && as == nil
	}
	return as.Group == group && as.Kind == z.kind && (as.Version == "v1beta1" || as.Version == deprecatedVersion)
}

// refuse says that the client takes nothing that there is, as JSON if it takes nothing else.
func refuse(w http.ResponseWriter, r *http.Request) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  notAcceptable,
		Reason:   metav1.StatusReasonNotAcceptable,
		Code:     http.StatusNotAcceptable,
	}
	asErrors := offer{func(media string, as *schema.GroupVersionKind) bool { return as == nil && media != mediaText }, true}
	c, ok := asErrors.choose(r.Header.Get("Accept"))
	if !ok {
		c = choice{media: mediaJSON, pretty: true}
	}
	c.pretty = c.pretty || forPeople(r)
	w.Header().Set("Content-Type", c.media)
	c.write(w, http.StatusNotAcceptable, status)
}

// write writes an object. The header of the answer is there already.
func (c choice) write(w http.ResponseWriter, code int, object any) {
	var body []byte
	var err error
	switch {
	case c.media == mediaYAML:
		body, err = yaml.Marshal(object)
	case c.pretty:
		body, err = json.MarshalIndent(object, "", "  ")
	default:
		if body, err = json.Marshal(object); err == nil {
			body = append(body, '\n')
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// forPeople tells whether JSON is to be laid out: on request, or since the client is one that
// people use by hand.
func forPeople(r *http.Request) bool {
	if asked := r.URL.Query().Get("pretty"); asked != "" {
		pretty, _ := strconv.ParseBool(asked)
		return pretty
	}
	for _, name := range []string{"curl", "Wget", "Mozilla/5.0"} {
		if strings.HasPrefix(r.UserAgent(), name) {
			return true
		}
	}
	return false
}
