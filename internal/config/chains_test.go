package config

import "testing"

// TestBadTableKeys puts lines of [nft] before the smallest file, from line 1 on.
func TestBadTableKeys(t *testing.T) {
	const chainText = ` is not a chain: write inet, ip or ip6, the table and the chain, e.g. "inet filter input"`
	tests := []struct {
		lines string
		want  []Problem
	}{
		{`nft.accept_in = "inet filter input"`, []Problem{{"nft.accept_in", 1, `"inet filter input" is not a list: write ["inet filter input"]`}}},
		{`nft.accept_in = ["filter input"]`, []Problem{{"nft.accept_in[0]", 1, `"filter input"` + chainText}}},
		{`nft.accept_in = ["bridge filter input"]`, []Problem{{"nft.accept_in[0]", 1, `"bridge filter input"` + chainText}}},
		{`nft.accept_in = ["inet filter input accept"]`, []Problem{{"nft.accept_in[0]", 1, `"inet filter input accept"` + chainText}}},
		{`nft.accept_in = ["inet filter in;put"]`, []Problem{{"nft.accept_in[0]", 1, `"inet filter in;put"` + chainText}}},
		{`nft.accept_in = [7]`, []Problem{{"nft.accept_in[0]", 1, `7 is not text: write it in quotes, "7"`}}},
		{"nft.accept_in = [\n\"ip filter INPUT\", \"ip filter FORWARD\",\n\"ip  filter INPUT\"]", []Problem{{"nft.accept_in[2]", 3, `"ip filter INPUT" is in the list twice: write it once`}}},
		{`nft.accept_in = ["inet ftpgate pre"]`, []Problem{{"nft.accept_in[0]", 1, `"inet ftpgate pre" is in our own table: write chains of your firewall`}}},
		{"nft.table = \"gate\"\nnft.accept_in = [\"ip gate input\", \"inet ftpgate input\",\n\"inet gate input\"]", []Problem{{"nft.accept_in[2]", 3, `"inet gate input" is in our own table: write chains of your firewall`}}},

		{`nft.route_mark = "0x00000c00"`, []Problem{{"nft.route_mark", 1, `"0x00000c00" is not one bit: write exactly one bit of 32, e.g. "0x00000400"`}}},
		{`nft.route_mark = 0x400`, []Problem{{"nft.route_mark", 1, `"0x00000400" is nft.mark too: write another bit`}}},
		{"nft.mark = 0x1\nnft.route_mark = 0x1", []Problem{{"nft.route_mark", 2, `"0x00000001" is nft.mark too: write another bit`}}},
		{`nft.route_table = 0`, []Problem{{"nft.route_table", 1, `0 is a routing table that the kernel has uses for: write another number, e.g. 21421`}}},
		{`nft.route_table = 254`, []Problem{{"nft.route_table", 1, `254 is a routing table that the kernel has uses for: write another number, e.g. 21421`}}},
		{`nft.route_table = -1`, []Problem{{"nft.route_table", 1, `-1 is not from 0 to 1073741824`}}},
		{`nft.route_table = "main"`, []Problem{{"nft.route_table", 1, `"main" is not a whole number: write one, without quotes`}}},
	}
	for _, tt := range tests {
		t.Run(tt.lines, func(t *testing.T) { wantProblems(t, tt.lines+"\n"+smallest, tt.want...) })
	}
}

// TestMarksThatMeet: the default of one bit is in the way of nothing while it is not used.
func TestMarksThatMeet(t *testing.T) {
	mustParse(t, "nft.mark = 0x800\n"+smallest)
	wantProblems(t, "nft.mark = 0x800\n"+smallest+"source = \"client\"\n",
		Problem{"nft.route_mark", 1, `"0x00000800" is nft.mark too: write another bit`})
}
