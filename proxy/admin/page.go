package admin

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
)

// statusPage is the status page: HTML, style and scripts as they are.
//
//go:embed page
var statusPage embed.FS

// servePage serves the files of the page, index.html as "/".
func servePage(mux *http.ServeMux) {
	files, err := fs.Sub(statusPage, "page")
	if err != nil {
		panic(err) // only of a path that is not one
	}
	names, err := fs.Glob(files, "*")
	if err != nil {
		panic(err) // only of a bad pattern
	}
	for _, name := range names {
		path := "/" + name
		if name == "index.html" {
			path = "/{$}"
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, fmt.Errorf("no %s here; the status page is at /, the API under %s/", r.URL.Path, prefix))
	})
}
