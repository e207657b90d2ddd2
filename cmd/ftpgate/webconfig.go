package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ftpgate/internal/config"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// checkWebConfigs reads the files of exporter-toolkit that a configuration names.
func checkWebConfigs(path string, file *config.File) error {
	bad := &badConfig{summary: path + " names files for exporter-toolkit that cannot be used; nothing was changed"}
	note := func(key, of string, err error) {
		if err != nil {
			bad.problems = append(bad.problems, fmt.Sprintf("%s: %s: %q: %v", path, key, of, err))
		}
	}
	metrics, admin := file.Metrics.WebConfig, file.Admin.WebConfig
	note("metrics.web_config", metrics, web.Validate(metrics))
	err := web.Validate(admin)
	if err == nil && admin != "" && !file.Admin.Listen.Addr().IsLoopback() {
		err = asksWho(admin)
	}
	note("admin.web_config", admin, err)
	if len(bad.problems) > 0 {
		return bad
	}
	return nil
}

// asksWho returns an error if a file lets strangers in.
func asksWho(path string) error {
	c, err := readWebConfig(path)
	if err != nil || len(c.Users) > 0 || c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert" {
		return err
	}
	return errors.New("it lets everybody in, and admin.listen is not on loopback: " +
		"write basic_auth_users, or client_auth_type: RequireAndVerifyClientCert")
}

// certificateNames are those by which browsers may know us, since our
// certificate has them.
func certificateNames(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	c, err := readWebConfig(path)
	if err != nil {
		return nil, err
	}
	if !c.TLSConfig.IsEnabled() {
		return nil, nil
	}
	t, err := web.ConfigToTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, err
	}
	pair, err := t.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	return leaf.DNSNames, nil
}

// readWebConfig reads what web.Validate has checked.
func readWebConfig(path string) (*web.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &web.Config{TLSConfig: web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}}
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, err
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	return c, nil
}
